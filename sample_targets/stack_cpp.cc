/* SPDX-License-Identifier: MIT */
/*
 * States its own stack of C++ functions, then stays there. The names are not typed by hand: each
 * function notes an address inside itself, which is looked up in this program's own .symtab and
 * demangled by the C++ runtime.
 */
#include "position.h"

#include <cxxabi.h>
#include <elf.h>
#include <link.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "options.h"

namespace stated
{

std::vector<std::uintptr_t> addresses;

/* Its return address lies in the function that states itself. */
__attribute__((noinline)) void enter()
{
    addresses.push_back(reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)) - 1);
}

void leave()
{
    addresses.pop_back();
    __asm__ volatile("" ::: "memory");
}

std::uintptr_t load_bias()
{
    std::uintptr_t bias = 0;
    dl_iterate_phdr(
        [](dl_phdr_info *info, size_t, void *ret) {
            *static_cast<std::uintptr_t *>(ret) = info->dlpi_addr;
            return 1; /* the program itself comes first */
        },
        &bias);
    return bias;
}

class SymbolTable
{
  public:
    SymbolTable()
    {
        std::ifstream file("/proc/self/exe", std::ios::binary);
        bytes.assign(std::istreambuf_iterator<char>(file), {});
    }

    /* The function symbol that covers the address; empty when this program was stripped. */
    std::string name_at(std::uintptr_t address) const
    {
        const auto *header = at<ElfW(Ehdr)>(0);
        const auto *sections = at<ElfW(Shdr)>(header->e_shoff);
        for (int i = 0; i < header->e_shnum; i++) {
            if (sections[i].sh_type != SHT_SYMTAB)
                continue;
            const auto *symbol = at<ElfW(Sym)>(sections[i].sh_offset);
            const char *names = at<char>(sections[sections[i].sh_link].sh_offset);
            for (size_t n = sections[i].sh_size / sizeof(*symbol); n--; symbol++) {
                if ((symbol->st_info & 15) == STT_FUNC &&
                    address - symbol->st_value < symbol->st_size)
                    return names + symbol->st_name;
            }
        }
        return {};
    }

  private:
    template <typename T> const T *at(size_t offset) const
    {
        return reinterpret_cast<const T *>(&bytes[offset]);
    }

    std::vector<char> bytes;
};

std::string demangle(const std::string &symbol)
{
    int status = 0;
    std::unique_ptr<char, void (*)(void *)> text(
        abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), std::free);
    return status == 0 ? text.get() : symbol;
}

void announce()
{
    SymbolTable symbols;
    const char *comma = "";
    std::cout << "{\"target\": \"stack_cpp\", \"pid\": " << getpid()
              << ", \"threads\": [{\"tid\": " << position_tid()
              << ", \"name\": \"stack_cpp\", \"state\": \"busy\", \"frames\": [";
    for (auto address : addresses) {
        std::string symbol = symbols.name_at(address - load_bias());
        std::cout << comma << "{\"kind\": \"native\", \"name\": \"" << demangle(symbol)
                  << "\", \"symbol\": \"" << symbol << "\"}";
        comma = ", ";
    }
    std::cout << "]}]}" << std::endl;
}

} // namespace stated

namespace orchard
{

struct Apple {
    int seeds;
};

namespace
{

STATED void pick(const Apple &apple)
{
    stated::enter();
    stated::announce();
    for (volatile unsigned long turns = 0; !position_over;)
        turns = turns + static_cast<unsigned long>(apple.seeds);
    stated::leave();
}

} // namespace

/* A template over a lambda's type: its name holds the lambda's. */
template <typename Action> STATED void repeat(int times, Action action)
{
    stated::enter();
    for (int i = 0; i < times && !position_over; i++)
        action(i);
    stated::leave();
}

class Plant
{
  public:
    virtual ~Plant() = default;
    virtual void harvest(const std::string &basket) const = 0;
};

template <typename Fruit, int Branches> class Tree final : public Plant
{
  public:
    STATED void harvest(const std::string &basket) const override
    {
        stated::enter();
        auto walk_branch = [&basket](int branch) STATED {
            stated::enter();
            pick(Fruit{branch + static_cast<int>(basket.size())});
            stated::leave();
        };
        repeat(Branches, walk_branch);
        stated::leave();
    }

    /* The operator makes a name with parentheses of its own. */
    STATED void operator()(std::vector<Fruit> &fruits, void (*)(int)) const
    {
        stated::enter();
        harvest(std::to_string(fruits.size()));
        stated::leave();
    }
};

} // namespace orchard

int main(int argc, char **argv)
{
    double seconds = 60;
    const option_row rows[] = {
        {"--seconds", &seconds, nullptr},
    };

    OPTIONS_PARSE(argc, argv, rows);
    position_arm(seconds);
    stated::enter();
    std::vector<orchard::Apple> apples;
    orchard::Tree<orchard::Apple, 3> tree;
    tree(apples, nullptr);
    stated::leave();
    return 0;
}
