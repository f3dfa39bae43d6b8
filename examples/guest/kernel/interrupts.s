// The interrupt table and everything that runs at CPL0 after start-up. Short and plain: CPL0 may
// be emulated, one instruction at a time. GS base is the vCPU's page of counters.

// One entry of the table: target, type (0x8e interrupt gate; 0xee the same, open to CPL3).
.macro GATE target, type
    .word \target
    .word {CODE0}
    .byte 0
    .byte \type
    .word 0
    .quad 0
.endm

.section .low.idt, "a"
idt:
.set number, 0
.rept 256
    .if number == 2
        GATE nmi, 0x8e
    .elseif number == 3
        GATE gate, 0xee
    .elseif number < 32
        GATE (faults + 16 * number), 0x8e
    .elseif (number >= 0x40) && (number < 0x48)
        GATE (counted + 32 * (number - 0x40)), 0x8e
    .elseif number == 255
        GATE spurious, 0x8e
    .else
        GATE stray, 0x8e
    .endif
    .set number, number + 1
.endr

.section .low.text, "ax"

// Fixed interrupts 0x40 to 0x47, 32 bytes each: count, then end of interrupt.
.balign 32
counted:
.set number, 0x40
.rept 8
    .balign 32
    inc qword ptr gs:[8 * number]
    jmp end_of_interrupt
    .set number, number + 1
.endr

.balign 32
end_of_interrupt:
    push rax
    push rcx
    push rdx
    mov ecx, 0x80b
    xor eax, eax
    xor edx, edx
    wrmsr
    pop rdx
    pop rcx
    pop rax
spurious:
    iretq

nmi:
    inc qword ptr gs:[16]
    iretq

// The gate that CPL3 enters by `int3`: not every software KVM can emulate `int` with a number, or
// a port access of CPL3. ecx says what to do: 0 to 3, or a register of the x2APIC to write.
gate:
    test ecx, ecx
    jnz 1f
    out dx, al
    iretq
1:  cmp ecx, 2
    ja 3f
    je 2f
    out dx, eax
    iretq
2:  in eax, dx
    iretq
3:  cmp ecx, 3
    je 4f
    wrmsr
    iretq
// rdi: a counter; rsi: what it was. Interrupts are off here, so one that arrives after the
// comparison ends the halt.
4:  cmp [rdi], rsi
    jne 5f
    sti
    hlt
    cli
5:  iretq

// Exceptions, 16 bytes each. Some push an error code; the others push a zero in its place.
.balign 16
faults:
.set number, 0
.rept 32
    .balign 16
    .if (number == 8) || ((number >= 10) && (number <= 14)) || (number == 17) || (number == 21) || (number == 29) || (number == 30)
    .else
        push 0
    .endif
    push number
    jmp fault
    .set number, number + 1
.endr
stray:
    push 0
    push 254
fault:
    pop rax
    mov gs:[{FAULT}], rax
    pop rax
    mov gs:[{FAULT} + 8], rax
    mov rax, [rsp]
    mov gs:[{FAULT} + 16], rax
    mov rax, cr2
    mov gs:[{FAULT} + 24], rax
    mov edx, {POWER}
    mov eax, {EXCEPTION}
    out dx, eax
1:  cli
    hlt
    jmp 1b
