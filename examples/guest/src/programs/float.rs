#![expect(
    unsafe_code,
    reason = "both functions are one instruction each, which has no safe name"
)]
//! Logarithm and square root without a mathematics library.

use core::arch::asm;

/// The natural logarithm of a positive number, by the x87's `fyl2x` in extended precision.
#[must_use]
pub(super) fn ln(x: f64) -> f64 {
    let mut value = x;
    // SAFETY: reads and writes `value` alone, and declares the x87 registers it uses; the stack of
    // the x87 is as empty at the end as at the start.
    unsafe {
        asm!(
            "fldln2",
            "fld qword ptr [{0}]",
            "fyl2x",
            "fstp qword ptr [{0}]",
            in(reg) &raw mut value,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            options(nostack),
        );
    }
    value
}

/// The square root, correctly rounded.
#[must_use]
pub(super) fn sqrt(x: f64) -> f64 {
    let root;
    // SAFETY: every x86-64 has the instruction; it touches the two registers alone.
    unsafe {
        asm!("sqrtsd {}, {}", lateout(xmm_reg) root, in(xmm_reg) x,
             options(pure, nomem, nostack));
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_agree_with_the_mathematics_library() {
        for x in [1e-300, 1e-9, 0.1, 0.5, 0.999_999_9, 1.0, 2.0, 1e300] {
            let (ours, theirs) = (ln(x), x.ln());
            assert_eq!(sqrt(x).to_bits(), x.sqrt().to_bits());
            assert!(
                (ours - theirs).abs() <= theirs.abs() * 1e-15,
                "{x}: {ours} {theirs}"
            );
        }
    }
}
