// SPDX-License-Identifier: MIT
//! States its own stack of Rust functions, then stays there. Compiled twice, for each way to mangle
//! names; what a demangler makes of the two differs, so each name is given as (legacy without its
//! hash, v0).
// Newer compilers want to be told of our cfg, older ones do not know that lint.
#![allow(unknown_lints, unexpected_cfgs)]
use std::cell::RefCell;
use std::os::raw::{c_int, c_uint};
use std::sync::atomic::{AtomicBool, Ordering};

extern "C" {
    fn alarm(seconds: c_uint) -> c_uint;
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    fn signal(signum: c_int, handler: extern "C" fn(c_int)) -> usize;
}

/// std::hint::black_box, which Debian 12's compiler does not have yet.
#[inline(always)]
fn black_box<T: Copy>(value: T) -> T {
    unsafe { std::ptr::read_volatile(&value) }
}

const SIGALRM: c_int = 14;
const SIGTERM: c_int = 15;
const SIGIO: c_int = 29;
const F_GETFL: c_int = 3;
const F_SETFL: c_int = 4;
const F_SETOWN: c_int = 8;
const O_ASYNC: c_int = 0o20000;

static OVER: AtomicBool = AtomicBool::new(false);

thread_local! {
    static STACK: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

extern "C" fn end(_signum: c_int) {
    OVER.store(true, Ordering::Relaxed);
}

/// On the stack as long as it lives; dropping it is what keeps a last call from becoming a jump.
struct Stated;

impl Stated {
    fn enter(legacy: &'static str, v0: &'static str) -> Stated {
        STACK.with(|stack| stack.borrow_mut().push(if cfg!(mangling_v0) { v0 } else { legacy }));
        Stated
    }
}

impl Drop for Stated {
    fn drop(&mut self) {
        STACK.with(|stack| stack.borrow_mut().pop());
        black_box(());
    }
}

fn native_id() -> String {
    let link = std::fs::read_link("/proc/thread-self").expect("/proc is mounted");
    link.file_name().expect("a thread's folder").to_string_lossy().into_owned()
}

fn announce() {
    let frames: Vec<String> = STACK.with(|stack| {
        stack
            .borrow()
            .iter()
            .map(|name| format!("{{\"kind\": \"native\", \"name\": \"{name}\"}}"))
            .collect()
    });
    println!(
        "{{\"target\": \"stack_rust\", \"pid\": {}, \"mangling\": \"{}\", \
         \"threads\": [{{\"tid\": {}, \"name\": \"stack_rust\", \"state\": \"busy\", \
         \"frames\": [{}]}}]}}",
        std::process::id(),
        if cfg!(mangling_v0) { "v0" } else { "legacy" },
        native_id(),
        frames.join(", ")
    );
}

mod forest {
    use super::*;

    pub trait Plant {
        fn grow(&self, years: u32) -> u64;
    }

    pub struct Oak {
        pub height: u64,
    }

    impl Plant for Oak {
        #[inline(never)]
        fn grow(&self, years: u32) -> u64 {
            let _stated = Stated::enter(
                "<stack_rust::forest::Oak as stack_rust::forest::Plant>::grow",
                "<stack_rust::forest::Oak as stack_rust::forest::Plant>::grow",
            );
            self.ring(years)
        }
    }

    impl Oak {
        #[inline(never)]
        fn ring(&self, years: u32) -> u64 {
            let _stated = Stated::enter(
                "stack_rust::forest::Oak::ring",
                "<stack_rust::forest::Oak>::ring",
            );
            if years > 1 { self.ring(years - 1) + 1 } else { leaf(self.height) }
        }
    }

    #[inline(never)]
    fn leaf(height: u64) -> u64 {
        let _stated = Stated::enter("stack_rust::forest::leaf", "stack_rust::forest::leaf");
        announce();
        let mut turns = height;
        while !OVER.load(Ordering::Relaxed) {
            turns = black_box(turns.wrapping_add(1));
        }
        turns
    }
}

#[inline(never)]
fn plant<T: forest::Plant>(tree: &T, years: u32) -> u64 {
    let _stated = Stated::enter(
        "stack_rust::plant",
        "stack_rust::plant::<stack_rust::forest::Oak>",
    );
    tree.grow(years)
}

fn seconds_option() -> c_uint {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => 60,
        [name, value] if name == "--seconds" => value.parse().expect("a whole number"),
        _ => panic!("usage: stack_rust [--seconds N]"),
    }
}

/// SIGIO tells the end of stdin when it is a pipe; a terminal is left alone.
fn arm(seconds: c_uint) {
    use std::os::unix::fs::FileTypeExt;

    let stdin_kind = std::fs::metadata("/proc/self/fd/0").map(|data| data.file_type());
    unsafe {
        for signum in [SIGALRM, SIGTERM, SIGIO] {
            signal(signum, end);
        }
        alarm(seconds);
        if stdin_kind.map_or(false, |kind| kind.is_fifo() || kind.is_socket()) {
            fcntl(0, F_SETOWN, std::process::id() as c_int);
            fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_ASYNC);
        }
    }
}

fn main() {
    arm(seconds_option());
    let _stated = Stated::enter("stack_rust::main", "stack_rust::main");
    let enter_forest = |years: u32| {
        let _stated = Stated::enter(
            "stack_rust::main::{{closure}}",
            "stack_rust::main::{closure#0}",
        );
        plant(&forest::Oak { height: years as u64 }, years)
    };
    // Behind a pointer the compiler cannot see through, so that the closure is not inlined.
    let unknown: &dyn Fn(u32) -> u64 = black_box(&enter_forest);
    black_box(unknown(black_box(4)));
}
