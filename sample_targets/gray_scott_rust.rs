// SPDX-License-Identifier: MIT
//! Gray-Scott in Rust, with generics and closures: the same model in the same order of operations as gray_scott.c.
use std::env;

struct Field<T> {
    size: usize,
    cells: Vec<T>,
}

impl<T: Copy> Field<T> {
    fn new(size: usize, value: T) -> Self {
        Field { size, cells: vec![value; size * size] }
    }

    fn seed(&mut self, top: usize, left: usize, side: usize, value: T) {
        for row in top..top + side {
            let start = row * self.size + left;
            self.cells[start..start + side].fill(value);
        }
    }

    /// Sets each cell to what `rule` says of its row and column.
    #[inline(never)]
    fn fill_by<F: Fn(usize, usize) -> T>(&mut self, rule: F) {
        let size = self.size;
        for row in 0..size {
            for column in 0..size {
                self.cells[row * size + column] = rule(row, column);
            }
        }
    }
}

impl Field<f64> {
    fn laplacian(&self, row: usize, column: usize) -> f64 {
        let size = self.size;
        let at = |row: usize, column: usize| self.cells[row * size + column];
        let (above, below) = (if row > 0 { row - 1 } else { size - 1 }, if row < size - 1 { row + 1 } else { 0 });
        let (left, right) = (if column > 0 { column - 1 } else { size - 1 }, if column < size - 1 { column + 1 } else { 0 });
        at(above, column) + at(below, column) + at(row, left) + at(row, right) - 4.0 * at(row, column)
    }

    fn total(&self) -> f64 {
        self.cells.chunks(self.size).map(|row| row.iter().sum::<f64>()).sum()
    }
}

struct Model {
    u: Field<f64>,
    v: Field<f64>,
    next_u: Field<f64>,
    next_v: Field<f64>,
}

const DIFFUSION_U: f64 = 0.16;
const DIFFUSION_V: f64 = 0.08;
const FEED: f64 = 0.060;
const KILL: f64 = 0.062;

impl Model {
    fn new(size: usize) -> Self {
        let field = |value| Field::new(size, value);
        let mut model = Model { u: field(1.0), v: field(0.0), next_u: field(0.0), next_v: field(0.0) };
        for (top, left, side) in [(size / 2 - size / 8, size / 2 - size / 8, size / 4), (size / 8, size / 4, size / 8)] {
            model.u.seed(top, left, side, 0.50);
            model.v.seed(top, left, side, 0.25);
        }
        model
    }

    fn step(&mut self) {
        let (u, v) = (&self.u, &self.v);
        let reaction = |cell: usize| u.cells[cell] * v.cells[cell] * v.cells[cell];
        self.next_u.fill_by(|row, column| {
            let cell = row * u.size + column;
            u.cells[cell] + (DIFFUSION_U * u.laplacian(row, column) - reaction(cell) + FEED * (1.0 - u.cells[cell]))
        });
        self.next_v.fill_by(|row, column| {
            let cell = row * v.size + column;
            v.cells[cell] + (DIFFUSION_V * v.laplacian(row, column) + reaction(cell) - (FEED + KILL) * v.cells[cell])
        });
        std::mem::swap(&mut self.u, &mut self.next_u);
        std::mem::swap(&mut self.v, &mut self.next_v);
    }
}

fn option(name: &str, default: usize) -> usize {
    let words: Vec<String> = env::args().collect();
    words.iter().position(|word| word == name).and_then(|i| words.get(i + 1)?.parse().ok()).unwrap_or(default)
}

fn main() {
    let mut model = Model::new(option("--size", 256));
    for _ in 0..option("--steps", 200) {
        model.step();
    }
    println!("checksum u={:.9} v={:.9}", model.u.total(), model.v.total());
}
