# The first sector of an emulated host's disk: reads what the table says from the sectors behind it,
# through the ports of an ATA disk, and enters a kernel by PVH.
    .code16
    .globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    inb $0x92, %al              # addresses above 1 MiB
    orb $2, %al
    outb %al, $0x92
    lgdt descriptors
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmp $8, $protected

    .code32
protected:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $0x7000, %esp
    cld
    movw $0x3f6, %dx            # no interrupts of the disk
    movb $2, %al
    outb %al, %dx
    movl $1, %esi               # the next sector
    movl $table, %ebx
part:
    movl (%ebx), %edi           # where to
    movl 4(%ebx), %ebp          # sectors left
    addl $8, %ebx
    testl %ebp, %ebp
    jz enter
command:
    movl $128, %ecx             # sectors of this command
    cmpl %ecx, %ebp
    jae 1f
    movl %ebp, %ecx
1:  movw $0x1f7, %dx
2:  inb %dx, %al
    testb $0x80, %al
    jnz 2b
    movw $0x1f6, %dx
    movl %esi, %eax
    shrl $24, %eax
    orb $0xe0, %al
    outb %al, %dx
    movw $0x1f2, %dx
    movb %cl, %al
    outb %al, %dx
    movl %esi, %eax
3:  incw %dx                    # 0x1f3 to 0x1f5: the sector, a byte each
    outb %al, %dx
    shrl $8, %eax
    cmpw $0x1f5, %dx
    jb 3b
    movw $0x1f7, %dx
    movb $0x20, %al             # read
    outb %al, %dx
    addl %ecx, %esi
    subl %ecx, %ebp
4:  movw $0x1f7, %dx
5:  inb %dx, %al
    testb $0x80, %al
    jnz 5b
    testb $8, %al
    jz 5b
    pushl %ecx
    movl $128, %ecx
    movw $0x1f0, %dx
    rep insl
    popl %ecx
    decl %ecx
    jnz 4b
    testl %ebp, %ebp
    jnz command
    jmp part
enter:                          # behind the last part: the kernel's entry, and what it is told
    movl (%ebx), %eax
    movl 4(%ebx), %ebx
    jmp *%eax

    .balign 8
segments:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
descriptors:
    .word 23
    .long segments

    .org 0x1c0
table:
    .org 510
    .word 0xaa55
