/* SPDX-License-Identifier: MIT */
/*
 * Gray-Scott reaction-diffusion in C; the same model and the same order of operations as
 * gray_scott.py. With -fopenmp the rows of a step are shared out to threads; the result does not
 * depend on their number.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const double diffusion_u = 0.16;
static const double diffusion_v = 0.08;
static const double feed = 0.060;
static const double kill = 0.062;
static const double time_step = 1.0;

struct grid {
    int size;      /* cells per side */
    double *u, *v; /* size * size cells, row by row */
    double *next_u, *next_v;
};

struct options {
    int size;
    int steps;
    const char *output; /* NULL: no image */
};

static void *allocate(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);

    if (!memory) {
        perror("gray_scott");
        exit(1);
    }
    return memory;
}

static void grid_seed(struct grid *grid, int top, int left, int side)
{
    for (int i = top; i < top + side; i++) {
        for (int j = left; j < left + side; j++) {
            grid->u[(size_t)i * grid->size + j] = 0.50;
            grid->v[(size_t)i * grid->size + j] = 0.25;
        }
    }
}

/* u = 1 and v = 0 everywhere but in two squares, off centre so that an axis mix-up shows. */
static void grid_init(struct grid *grid, int size)
{
    size_t cells = (size_t)size * size;

    grid->size = size;
    grid->u = allocate(cells, sizeof(double));
    grid->v = allocate(cells, sizeof(double));
    grid->next_u = allocate(cells, sizeof(double));
    grid->next_v = allocate(cells, sizeof(double));
    for (size_t cell = 0; cell < cells; cell++)
        grid->u[cell] = 1.0;
    grid_seed(grid, size / 2 - size / 8, size / 2 - size / 8, size / 4);
    grid_seed(grid, size / 8, size / 4, size / 8);
}

static void grid_deinit(struct grid *grid)
{
    free(grid->u);
    free(grid->v);
    free(grid->next_u);
    free(grid->next_v);
}

/* Five-point stencil; above and below are whole rows, so that the caller wraps i once per row. */
static inline double laplacian(const double *above, const double *row, const double *below,
                               int size, int j)
{
    int left = j > 0 ? j - 1 : size - 1;
    int right = j < size - 1 ? j + 1 : 0;

    return above[j] + below[j] + row[left] + row[right] - 4.0 * row[j];
}

static void update_row(struct grid *grid, int i)
{
    int size = grid->size;
    size_t here = (size_t)i * size;
    size_t above = (size_t)((i + size - 1) % size) * size;
    size_t below = (size_t)((i + 1) % size) * size;
    const double *u = grid->u, *v = grid->v;

    for (int j = 0; j < size; j++) {
        double u_here = u[here + j];
        double v_here = v[here + j];
        double reaction = u_here * v_here * v_here;
        double spread_u = laplacian(u + above, u + here, u + below, size, j);
        double spread_v = laplacian(v + above, v + here, v + below, size, j);

        grid->next_u[here + j] =
            u_here + time_step * (diffusion_u * spread_u - reaction + feed * (1.0 - u_here));
        grid->next_v[here + j] =
            v_here + time_step * (diffusion_v * spread_v + reaction - (feed + kill) * v_here);
    }
}

static void swap(double **a, double **b)
{
    double *c = *a;

    *a = *b;
    *b = c;
}

/* One explicit Euler step. */
static void step(struct grid *grid)
{
#ifdef _OPENMP
#pragma omp parallel for schedule(static)
#endif
    for (int i = 0; i < grid->size; i++)
        update_row(grid, i);
    swap(&grid->u, &grid->next_u);
    swap(&grid->v, &grid->next_v);
}

static void simulate(struct grid *grid, int steps)
{
    for (int i = 0; i < steps; i++)
        step(grid);
}

static double total(const double *field, int size)
{
    double sum = 0.0;

    for (int i = 0; i < size; i++) {
        double row = 0.0;

        for (int j = 0; j < size; j++)
            row += field[(size_t)i * size + j];
        sum += row;
    }
    return sum;
}

static void put_u32(unsigned char *bytes, unsigned long value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(value >> (24 - 8 * i));
}

static void png_write_chunk(FILE *file, const char *kind, const unsigned char *data, size_t length)
{
    unsigned char number[4];
    uLong crc = crc32(crc32(0, NULL, 0), (const unsigned char *)kind, 4);

    if (length) /* crc32(x, NULL, 0) would start again from 0 */
        crc = crc32(crc, data, (uInt)length);
    put_u32(number, length);
    fwrite(number, 1, 4, file);
    fwrite(kind, 1, 4, file);
    fwrite(data, 1, length, file);
    put_u32(number, crc);
    fwrite(number, 1, 4, file);
}

/* The image's lines: a filter byte (0), then a grey byte per cell; the brightest cell is white. */
static unsigned char *grey_lines(const double *field, int size)
{
    unsigned char *lines = allocate((size_t)size, (size_t)size + 1);
    double top = 0.0;

    for (size_t cell = 0; cell < (size_t)size * size; cell++)
        top = field[cell] > top ? field[cell] : top;
    for (int i = 0; i < size; i++) {
        for (int j = 0; j < size; j++) {
            double value = top > 0.0 ? field[(size_t)i * size + j] * (255.0 / top) : 0.0;

            lines[(size_t)i * (size + 1) + 1 + j] = (unsigned char)value;
        }
    }
    return lines;
}

static int write_png(const char *path, const double *field, int size)
{
    uLong length = (uLong)size * (size + 1);
    uLongf packed_length = compressBound(length);
    unsigned char *lines = grey_lines(field, size);
    unsigned char *packed = allocate(packed_length, 1);
    unsigned char header[13] = {[8] = 8}; /* 8 bits, grey, no interlace */
    FILE *file = fopen(path, "wb");
    int failed = !file || compress(packed, &packed_length, lines, length) != Z_OK;

    if (!failed) {
        put_u32(header, (unsigned long)size);
        put_u32(header + 4, (unsigned long)size);
        fwrite("\x89PNG\r\n\x1a\n", 1, 8, file);
        png_write_chunk(file, "IHDR", header, sizeof(header));
        png_write_chunk(file, "IDAT", packed, packed_length);
        png_write_chunk(file, "IEND", header, 0);
        failed = ferror(file);
    }
    if (file && fclose(file))
        failed = 1;
    free(packed);
    free(lines);
    return failed;
}

static int parse_number(const char *text, int least)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (end == text || *end || value < least || value > 1000000000) {
        fprintf(stderr, "gray_scott: '%s' is not a number of at least %d\n", text, least);
        exit(2);
    }
    return (int)value;
}

static void parse_options(int argc, char **argv, struct options *ret)
{
    static const struct option longs[] = {
        {"size", required_argument, NULL, 's'},
        {"steps", required_argument, NULL, 'n'},
        {"output", required_argument, NULL, 'o'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.size = 512, .steps = 2000};
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 's':
            options.size = parse_number(optarg, 8);
            break;
        case 'n':
            options.steps = parse_number(optarg, 0);
            break;
        case 'o':
            options.output = optarg;
            break;
        default:
            fprintf(stderr, "usage: gray_scott [--size CELLS] [--steps N] [--output FILE.png]\n");
            exit(2);
        }
    }
    *ret = options;
}

int main(int argc, char **argv)
{
    struct options options;
    struct grid grid;
    int status = 0;

    parse_options(argc, argv, &options);
    grid_init(&grid, options.size);
    simulate(&grid, options.steps);
    printf("checksum u=%.9f v=%.9f\n", total(grid.u, grid.size), total(grid.v, grid.size));
    if (options.output && write_png(options.output, grid.v, grid.size)) {
        fprintf(stderr, "gray_scott: cannot write '%s'\n", options.output);
        status = 1;
    }
    grid_deinit(&grid);
    return status;
}
