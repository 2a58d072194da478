// SPDX-License-Identifier: MIT
// Particles in a box: small functions that are inlined, and walls that are met by an exception.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace box {

struct Vector {
    double x, y, z;
    Vector operator+(const Vector &other) const { return {x + other.x, y + other.y, z + other.z}; }
    Vector operator-(const Vector &other) const { return {x - other.x, y - other.y, z - other.z}; }
    Vector operator*(double factor) const { return {x * factor, y * factor, z * factor}; }
    double squared() const { return x * x + y * y + z * z; }
};

struct Wall : std::runtime_error {
    Wall() : std::runtime_error("a particle met a wall") {}
};

struct Particle {
    Vector place, speed;
};

template <typename Potential> class System {
  public:
    System(std::size_t count, const Potential &between) : particles(count), potential(between)
    {
        for (std::size_t i = 0; i < count; i++) {
            double angle = 2.399963 * static_cast<double>(i), radius = std::sqrt((static_cast<double>(i) + 0.5) / static_cast<double>(count));
            Vector place = {radius * std::cos(angle), radius * std::sin(angle), 0.3 * std::sin(angle * 7)};
            particles[i] = {place, place * 1.5};
        }
    }

    // Returns how many particles met a wall.
    std::size_t step(double duration)
    {
        std::size_t met = 0;

        accelerate(duration);
        for (Particle &particle : particles) {
            try {
                move(particle, duration);
            } catch (const Wall &) {
                particle.speed = particle.speed * -1.0;
                met++;
            }
        }
        return met;
    }

    double energy() const
    {
        double sum = 0;

        for (const Particle &particle : particles)
            sum += particle.speed.squared();
        return sum / 2;
    }

  private:
    __attribute__((noinline)) void accelerate(double duration)
    {
        for (Particle &particle : particles) {
            Vector force = {0, 0, 0};

            for (const Particle &other : particles)
                force = force + potential(other.place - particle.place);
            particle.speed = particle.speed + force * duration;
        }
    }

    __attribute__((noinline)) void move(Particle &particle, double duration)
    {
        Vector place = particle.place + particle.speed * duration;

        if (place.squared() > 1.5)
            throw Wall();
        particle.place = place;
    }

    std::vector<Particle> particles;
    Potential potential;
};

struct Gravity {
    double softness;
    Vector operator()(const Vector &distance) const
    {
        double squared = distance.squared() + softness;

        return distance * (1e-3 / (squared * std::sqrt(squared)));
    }
};

} // namespace box

// The number behind an option's name.
static std::size_t option(int argc, char **argv, const char *name, std::size_t value)
{
    for (int i = 1; i + 1 < argc; i++)
        if (std::strcmp(argv[i], name) == 0)
            value = std::strtoul(argv[i + 1], nullptr, 10);
    return value;
}

int main(int argc, char **argv)
{
    std::size_t steps = option(argc, argv, "--steps", 100), met = 0;
    box::System<box::Gravity> system(option(argc, argv, "--size", 1000), {0.01});

    for (std::size_t i = 0; i < steps; i++)
        met += system.step(0.01);
    std::printf("checksum energy=%.9e walls=%zu\n", system.energy(), met);
    return 0;
}
