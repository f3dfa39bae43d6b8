// Start-up. Application processors begin in `trampoline` in real mode; the boot vCPU begins in
// `boot_vcpu` in long mode. Both reach `join`, which makes them alike and leaves for CPL3.

.section .low.trampoline, "ax"
.code16
trampoline:
    cli
    xor ax, ax
    mov ds, ax
    lgdt [flat_gdt_pointer]
    mov eax, {CR4}
    mov cr4, eax
    mov eax, {PAGE_TABLES}
    mov cr3, eax
    mov ecx, 0xc0000080             // EFER
    mov eax, 0x100                  // LME
    xor edx, edx
    wrmsr
    mov eax, {CR0}
    mov cr0, eax
    .byte 0xea                      // far jump, 16-bit operands
    .word long_mode
    .word {CODE0}

// Accessed bits are preset throughout: loading a segment must not write to this page.
.balign 8
flat_gdt:
    .quad 0
    .quad 0x00209b0000000000        // code, CPL0, long
    .quad 0x0000930000000000        // data, CPL0
flat_gdt_pointer:
    .word 23
    .long flat_gdt

.code64
long_mode:
    mov eax, {DATA0}
    mov ds, eax
    mov es, eax
    mov ss, eax
    jmp join

.globl boot_vcpu
boot_vcpu:
join:
    cld
    mov ecx, 0x1b                   // APIC base: enabled, x2APIC
    rdmsr
    or eax, 0xc00
    wrmsr
    mov ecx, 0x80f                  // spurious vector 0xff, software-enabled
    mov eax, 0x1ff
    xor edx, edx
    wrmsr
    mov ecx, 0x83e                  // timer counts every cycle of the APIC's clock
    mov eax, 0xb
    wrmsr
    mov ecx, 0x832                  // timer: one-shot
    mov eax, {TIMER}
    wrmsr
    mov ecx, 0x802                  // own identifier
    rdmsr
    mov edi, eax
    mov ebx, eax
    imul ebx, ebx, {AREA_SIZE}
    add ebx, {AREAS}
    lgdt [rbx + {GDT_POINTER}]
    lidt [idt_pointer]
    mov eax, {TSS}
    ltr ax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    mov ecx, 0xc0000101             // GS base: this vCPU's counters
    mov eax, ebx
    add eax, {COUNTERS}
    xor edx, edx
    wrmsr
    lea rsp, [rbx + {STACK0_END}]
    lea rcx, [rbx + {STACK3_END}]
    mov rax, {DATA3}
    push rax
    push rcx
    mov rax, 0x202                  // interrupts on
    push rax
    mov rax, {CODE3}
    push rax
    lea rax, [vcpu_start]
    push rax
    iretq

.balign 8
idt_pointer:
    .word 4095
    .quad {IDT}

.section .text.vcpu_start, "ax"
vcpu_start:
    fninit
    push 0x1f80
    ldmxcsr [rsp]
    mov dword ptr [rsp], 0x37f
    fldcw [rsp]
    pop rax
    xor ebp, ebp
    call {MAIN}
    ud2
