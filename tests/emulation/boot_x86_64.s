# First sector of a disk: 64-bit mode with AVX-512, then SECTORS sectors from the second on to 1 MB,
# and a jump there. Addresses are physical; the first GB is mapped one to one. The stack ends at
# 0x90000, page tables lie from 0x10000.
	.set	TABLES, 0x10000
	.set	PROGRAM, 0x100000
	.text
	.code16
	.globl	_start
_start:
	cli
	ljmp	$0, $1f
1:	xor	%ax, %ax
	mov	%ax, %ds
	in	$0x92, %al		# addresses beyond 1 MB
	or	$2, %al
	out	%al, $0x92

	mov	$TABLES >> 4, %ax
	mov	%ax, %es
	xor	%di, %di
	xor	%eax, %eax
	mov	$0x3000 / 4, %cx
	rep stosl
	movl	$TABLES + 0x1003, %es:0
	movl	$TABLES + 0x2003, %es:0x1000
	mov	$0x2000, %di
	mov	$0x83, %eax		# present, writable, 2 MB
2:	mov	%eax, %es:(%di)
	add	$0x200000, %eax
	add	$8, %di
	cmp	$0x3000, %di
	jb	2b

	mov	$TABLES, %eax
	mov	%eax, %cr3
	mov	$0x40620, %eax		# PAE, FXSR, SSE exceptions, XSAVE
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx	# EFER
	rdmsr
	or	$0x100, %eax		# long mode
	wrmsr
	lgdt	descriptors
	mov	$0x80000013, %eax	# protected mode with paging, coprocessor present
	mov	%eax, %cr0
	ljmp	$8, $3f

	.code64
3:	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$0x90000, %esp
	xor	%ecx, %ecx
	xor	%edx, %edx
	mov	$0xe7, %eax		# all registers up to AVX-512's
	xsetbv

	mov	$1, %ebx		# sector
	mov	$PROGRAM, %edi
4:	mov	$0x1f2, %edx		# first ATA disk: one sector
	mov	$1, %al
	out	%al, %dx
	mov	%ebx, %esi
	mov	$3, %ecx
5:	inc	%edx			# its number
	mov	%esi, %eax
	out	%al, %dx
	shr	$8, %esi
	loop	5b
	inc	%edx
	mov	$0xe0, %al
	out	%al, %dx
	inc	%edx
	mov	$0x20, %al		# read
	out	%al, %dx
6:	in	%dx, %al
	and	$0x88, %al		# busy, data ready
	cmp	$8, %al
	jne	6b
	mov	$0x1f0, %edx
	mov	$256, %ecx
	rep insw
	inc	%ebx
	cmp	$SECTORS, %ebx
	jbe	4b
	mov	$PROGRAM, %eax
	jmp	*%rax

	.balign 8
table:	.quad	0, 0x00209a0000000000, 0x0000920000000000
descriptors:
	.word	descriptors - table - 1
	.long	table
	.org	510
	.word	0xaa55
