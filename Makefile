# SPDX-License-Identifier: MIT
#
# pspy's build. `make help` lists the targets and the variables. Every source is found by its place: src/LAYER/*.c
# and *.S go into libpspy.a (all but src/cli/main.c), tests/unit/*.c become one program each.

VERSION := 0.1.0

# ---- variables to set from outside: `make DEV=1`, `SAN=address,undefined make check` ----------------------------
CC ?= cc
ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS ?= -O2 -g
DEV ?=
SAN ?=
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= python3
PYTEST_ARGS ?=
ifneq ($(strip $(SAN)),)
BUILD ?= build-san
else
BUILD ?= build
endif

comma := ,
ARCH := $(shell uname -m)
PROCESSORS := $(shell nproc)
# All processors for the build within `make demo` and `make check`, unless the caller chose.
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(PROCESSORS))
# libunwind names its library for other processes after the machine it reads.
UNWIND_ARCH_x86_64 := x86_64
UNWIND_ARCH_aarch64 := aarch64
UNWIND_ARCH := $(or $(UNWIND_ARCH_$(ARCH)),$(ARCH))

# ---- flags ------------------------------------------------------------------------------------------------------
WARNINGS := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wundef -Wformat=2 -Wcast-qual
ifneq ($(filter-out 0,$(strip $(DEV))),)
WARNINGS += -Werror
endif
ifneq ($(strip $(SAN)),)
SANITIZE := -fsanitize=$(SAN) -fno-omit-frame-pointer
ifneq ($(filter undefined,$(subst $(comma), ,$(SAN))),)
SANITIZE += -fno-sanitize-recover=undefined
endif
endif
PSPY_CPPFLAGS = -D_GNU_SOURCE -Iinclude -DPSPY_VERSION='"$(VERSION)"' $(CPPFLAGS)
PSPY_CFLAGS = -std=gnu17 $(WARNINGS) $(CFLAGS) $(SANITIZE)
PSPY_ASFLAGS = $(CFLAGS) $(SANITIZE) -Iviewer -Wa,-Iviewer -Wa,--noexecstack
PSPY_LDFLAGS = $(LDFLAGS) $(SANITIZE) -Wl,--as-needed
LIBS := -lunwind-$(UNWIND_ARCH) -lunwind -ldw -lelf -llzma -lz -lcjson -liberty -lm
UNIT_LIBS := -lunwind-ptrace $(LIBS) -lpthread -lm

# header=Debian package: what a compiler must find before the first compile is tried.
LIBRARY_HEADERS := libunwind.h=libunwind-dev libelf.h=libelf-dev elfutils/libdw.h=libdw-dev lzma.h=liblzma-dev zlib.h=zlib1g-dev \
	cjson/cJSON.h=libcjson-dev libiberty/demangle.h=libiberty-dev

# ---- files ------------------------------------------------------------------------------------------------------
SOURCES := $(sort $(wildcard src/*/*.c))
ASM_SOURCES := $(sort $(wildcard src/*/*.S))
VIEWER_FILES := $(wildcard viewer/* viewer/*/*)
MAIN := src/cli/main.c
ASM_OBJECTS := $(ASM_SOURCES:src/%.S=$(BUILD)/obj/%.o)
MAIN_OBJECT := $(MAIN:src/%.c=$(BUILD)/obj/%.o)
LIB_OBJECTS := $(patsubst src/%.c,$(BUILD)/obj/%.o,$(filter-out $(MAIN),$(SOURCES))) $(ASM_OBJECTS)
UNIT_SOURCES := $(sort $(wildcard tests/unit/*.c))
UNIT_PROGRAMS := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/tests/unit/%)
FUZZ_PROGRAM := $(BUILD)/tests/fuzz/fuzz_python
FORMAT_FILES = $(wildcard src/*/*.[ch] include/pspy/*/*.h tests/*.[ch] tests/*/*.[ch] bench/*.[ch])
DEPENDENCIES := $(LIB_OBJECTS:.o=.d) $(MAIN_OBJECT:.o=.d) $(UNIT_PROGRAMS:=.d)

ifeq ($(strip $(V)),)
Q := @
say = @printf '  %-5s %s\n' $(1) $(2)
else
say = @:
endif

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all lib unit targets demo check test check-all check-rows check-dpnp check-fresh bench install uninstall clean format help FORCE
all: $(BUILD)/pspy
lib: $(BUILD)/libpspy.a
unit: $(UNIT_PROGRAMS) $(FUZZ_PROGRAM)

# ---- stamps: the flags of the last build; the libraries' headers ------------------------------------------------
# Rewritten only when they differ, so that a change of flags rebuilds and nothing else does.
FLAGS_TEXT = $(CC) | $(PSPY_CPPFLAGS) | $(PSPY_CFLAGS) | $(PSPY_ASFLAGS) | $(PSPY_LDFLAGS) $(LIBS)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS_TEXT))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS_TEXT))' >$@

# The list of members, so that a deleted source leaves the library too.
$(BUILD)/members: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(LIB_OBJECTS) | cmp -s - $@ || printf '%s\n' $(LIB_OBJECTS) >$@

$(BUILD)/libraries: $(BUILD)/flags
	@command -v $(firstword $(CC)) >/dev/null || { \
	    echo "pspy: no C compiler '$(firstword $(CC))' here; on Debian or Ubuntu: sudo apt-get install -y gcc libc6-dev" >&2; \
	    exit 1; }
	@headers=''; packages=''; \
	for row in stdio.h=libc6-dev $(LIBRARY_HEADERS); do \
	    echo "#include <$${row%%=*}>" | $(CC) $(CPPFLAGS) -E -x c - >/dev/null 2>&1 || { \
	        headers="$$headers $${row%%=*}"; packages="$$packages $${row#*=}"; }; \
	done; \
	test -z "$$packages" || { \
	    echo "pspy: the build needs the headers$$headers; on Debian or Ubuntu: sudo apt-get install -y$$packages" >&2; \
	    exit 1; }
	@touch $@

# ---- the program and its library --------------------------------------------------------------------------------
$(BUILD)/obj/%.o: src/%.c $(BUILD)/flags | $(BUILD)/libraries
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(PSPY_CPPFLAGS) $(PSPY_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/syscall_names.h: $(BUILD)/flags | $(BUILD)/libraries
	$(Q)echo '#include <sys/syscall.h>' | $(CC) $(CPPFLAGS) -E -dM -x c - | \
	    sed -n 's/^#define SYS_\([a-z0-9_]*\) .*/[SYS_\1] = "\1",/p' | sort >$@
$(BUILD)/obj/base/syscalls.o: $(BUILD)/syscall_names.h
$(BUILD)/obj/base/syscalls.o: private PSPY_CPPFLAGS += -I$(BUILD)

# .incbin leaves no trace in the dependency file: an assembly source depends on all the viewer's files.
$(BUILD)/obj/%.o: src/%.S $(VIEWER_FILES) $(BUILD)/flags | $(BUILD)/libraries
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(PSPY_CPPFLAGS) $(PSPY_ASFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libpspy.a: $(LIB_OBJECTS) $(BUILD)/members
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIB_OBJECTS)

$(BUILD)/pspy: $(MAIN_OBJECT) $(BUILD)/libpspy.a
	$(call say,LD,$@)
	$(Q)$(CC) $(PSPY_CFLAGS) $(PSPY_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/libpspy.a $(BUILD)/flags
	$(call say,TEST,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(PSPY_CPPFLAGS) -Itests $(PSPY_CFLAGS) -MMD -MP -MF $@.d $(PSPY_LDFLAGS) -o $@ $< $(BUILD)/libpspy.a $(UNIT_LIBS)

# Its memory reads and allocations go through tests/fuzz/damage.c.
$(FUZZ_PROGRAM): $(wildcard tests/fuzz/*.[ch] include/pspy/*/*.h) $(BUILD)/libpspy.a $(BUILD)/flags
	$(call say,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(PSPY_CPPFLAGS) $(PSPY_CFLAGS) $(PSPY_LDFLAGS) \
	    -Wl,--wrap=process_vm_readv,--wrap=malloc,--wrap=calloc,--wrap=reallocarray \
	    -o $@ $(filter tests/fuzz/%.c,$^) $(BUILD)/libpspy.a $(UNIT_LIBS)

-include $(DEPENDENCIES)

# ---- trying it out and testing it -------------------------------------------------------------------------------
# A make of its own: the flags of this one are not for the targets. One job: rustc cannot use a job server of make.
targets:
	@test ! -f sample_targets/Makefile || env -u MAKEFLAGS -u MAKELEVEL make $(if $(Q),-s) --no-print-directory -C sample_targets \
	    OUT='$(abspath $(BUILD))/sample_targets' CC='$(CC)' $(if $(filter-out 0,$(DEV)),DEV=1)

demo:
	@CC='$(CC)' tests/install-deps.sh build demo
	+@$(MAKE) --no-print-directory $(JOBS) all
	@tests/demo.sh '$(BUILD)'

check:
	@CC='$(CC)' tests/install-deps.sh build test
	+@$(MAKE) --no-print-directory $(JOBS) test

$(BUILD)/venv/ready: tests/requirements.txt
	$(call say,VENV,$(@D))
	@mkdir -p $(BUILD)
	$(Q)$(PYTHON) -m venv --clear $(@D)
	$(Q)$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(BUILD)/node/ready: $(wildcard tests/browser/install.sh tests/browser/package*.json)
	$(call say,NPM,$(@D))
	@mkdir -p $(@D)
	$(Q)if test -f tests/browser/install.sh; then sh tests/browser/install.sh '$(abspath $(@D))'; fi
	@touch $@

# WIDTH: few, as `make check` has it; rest, what that leaves out; all. PYTEST_ARGS chooses among all.
WIDTH ?= $(if $(strip $(PYTEST_ARGS)),all,few)
test: all unit targets $(BUILD)/venv/ready $(BUILD)/node/ready
	@unset MAKEFLAGS MAKELEVEL; export PSPY='$(abspath $(BUILD))/pspy' BUILD='$(abspath $(BUILD))' REPO='$(CURDIR)' SAN='$(SAN)' CC='$(CC)' \
	    WIDTH='$(WIDTH)'; \
	    $(BUILD)/venv/bin/python tests/runner.py tests '$(BUILD)$(if $(filter rest,$(WIDTH)),/rest)' $$(($(PROCESSORS) + 1)) $(PYTEST_ARGS)

check-all:
	@tests/check-all.sh '$(BUILD)'

check-rows: unit
	@tests/rows.py '$(BUILD)' $(ROWS_IN)

$(BUILD)/venv-dpnp/ready: tests/dpnp/requirements.txt
	$(call say,VENV,$(@D))
	@mkdir -p $(BUILD)
	$(Q)$(PYTHON) -m venv --clear $(@D)
	$(Q)$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

check-dpnp: all $(BUILD)/venv-dpnp/ready
	@unset MAKEFLAGS MAKELEVEL; export PSPY='$(abspath $(BUILD))/pspy' BUILD='$(abspath $(BUILD))' REPO='$(CURDIR)' SAN='$(SAN)' CC='$(CC)'; \
	    $(BUILD)/venv-dpnp/bin/python -m pytest tests/dpnp -o cache_dir='$(abspath $(BUILD))/pytest_cache' $(PYTEST_ARGS)

check-fresh:
	@tests/fresh.sh '$(BUILD)'

bench: all
	@bench/run --build '$(abspath $(BUILD))' $(BENCH_ARGS)

# ---- installing -------------------------------------------------------------------------------------------------
INSTALLED := $(DESTDIR)$(PREFIX)/bin/pspy $(DESTDIR)$(PREFIX)/share/man/man1/pspy.1 \
	$(DESTDIR)$(PREFIX)/share/man/man5/pspy-recording.5 \
	$(DESTDIR)$(PREFIX)/share/bash-completion/completions/pspy $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_pspy \
	$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/pspy.fish
GENERATED := $(BUILD)/share/pspy.1 $(BUILD)/share/pspy-recording.5 $(BUILD)/share/pspy.bash $(BUILD)/share/_pspy $(BUILD)/share/pspy.fish

$(BUILD)/share/pspy.1: generate = man
$(BUILD)/share/pspy-recording.5: generate = man recording
$(BUILD)/share/pspy.bash: generate = completions bash
$(BUILD)/share/_pspy: generate = completions zsh
$(BUILD)/share/pspy.fish: generate = completions fish
$(GENERATED): $(BUILD)/pspy
	$(call say,GEN,$@)
	@mkdir -p $(@D)
	$(Q)$(BUILD)/pspy $(generate) >$@

install: $(BUILD)/pspy $(GENERATED)
	install -D -m 755 $(BUILD)/pspy '$(DESTDIR)$(PREFIX)/bin/pspy'
	install -D -m 644 $(BUILD)/share/pspy.1 '$(DESTDIR)$(PREFIX)/share/man/man1/pspy.1'
	install -D -m 644 $(BUILD)/share/pspy-recording.5 '$(DESTDIR)$(PREFIX)/share/man/man5/pspy-recording.5'
	install -D -m 644 $(BUILD)/share/pspy.bash '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/pspy'
	install -D -m 644 $(BUILD)/share/_pspy '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_pspy'
	install -D -m 644 $(BUILD)/share/pspy.fish '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/pspy.fish'

uninstall:
	rm -f $(INSTALLED)

# build-pythons stays: its interpreters take minutes and depend on nothing here.
clean:
	rm -rf $(BUILD)

format:
	clang-format -i $(FORMAT_FILES)

help:
	@echo 'make               build $(BUILD)/pspy'
	@echo 'make demo          install what is missing, build, record the Gray-Scott example under build/demo'
	@echo 'make check         install what the tests need, build, run the tests with the interpreters here; minutes'
	@echo 'make check-all     that, further interpreters (made the first time) and thorough tests, warnings of gcc and clang, sanitizers, check-fresh'
	@echo 'make test          the same without installing; PYTEST_ARGS="-k name -x" chooses among all tests; WIDTH=few|rest|all'
	@echo 'make check-fresh   both README commands and the tests in a bare Debian 12 (root only)'
	@echo 'make check-rows    the rows of every ELF file here against libunwind; ROWS_IN="/usr/bin ..." chooses folders'
	@echo 'make check-dpnp    the tests with Data Parallel NumPy, whose packages take 2.9 GB'
	@echo 'make bench         pspy beside its peers, hours; BENCH_ARGS="rate --python 3.12" chooses'
	@echo 'make install       into $$(DESTDIR)$$(PREFIX), now $(DESTDIR)$(PREFIX); also: uninstall'
	@echo 'make unit targets  the C unit tests and the sample targets, built and not run'
	@echo 'make clean format  remove $(BUILD); lay out the sources with clang-format'
	@echo
	@echo 'CC=clang  CFLAGS="-O0 -g"  DEV=1 (warnings are errors)  SAN=address,undefined (into build-san)'
	@echo 'BUILD=folder  PREFIX=/usr/local  DESTDIR=  PYTHON=python3 (runs pytest)  V=1 (show commands)'
