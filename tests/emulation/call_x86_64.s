# Makes the calls of the table `calls` on a bare machine in 64-bit mode and writes what they left in
# `results`, as hexadecimal digits between < and >, to Bochs's debug port. The machine then stops.
	.section .text.entry, "ax"
	mov	$results, %rdi
	mov	$results_end, %rcx
	sub	%rdi, %rcx
	mov	$0xa5, %al		# every result begins with this byte
	rep stosb
	# Bochs 2.7 inverts what vgf2p8affineqb gives. The last byte of the instruction is added to its
	# result, so there the kernels' are inverted.
	vpxor	%xmm0, %xmm0, %xmm0
	vgf2p8affineqb $0, %xmm0, %xmm0, %xmm0
	vmovd	%xmm0, %eax
	test	%eax, %eax
	jz	1f
	mov	$affine_ends, %rbx
6:	mov	(%rbx), %rax
	test	%rax, %rax
	jz	1f
	notb	-1(%rax)
	add	$8, %rbx
	jmp	6b
1:	mov	$calls, %rbx
1:	mov	(%rbx), %rax		# function
	test	%rax, %rax
	jz	2f
	mov	8(%rbx), %rdi		# buffers
	mov	16(%rbx), %rsi		# samples
	mov	24(%rbx), %rdx		# first item
	mov	32(%rbx), %rcx		# behind the last item
	add	$40, %rbx
	call	*%rax
	jmp	1b
2:	mov	$results, %rsi
	mov	$results_end, %rbx
	mov	$0xe9, %dx
	mov	$'<', %al
	out	%al, %dx
3:	cmp	%rbx, %rsi
	jae	4f
	movzbl	(%rsi), %ecx
	inc	%rsi
	mov	%ecx, %eax
	shr	$4, %eax
	mov	digits(%rax), %al
	out	%al, %dx
	and	$15, %ecx
	mov	digits(%rcx), %al
	out	%al, %dx
	jmp	3b
4:	mov	$'>', %al
	out	%al, %dx
	mov	$0x8900, %dx		# Bochs ends on this word
	mov	$farewell, %rsi
	mov	$8, %ecx
	rep outsb
5:	hlt
	jmp	5b
	.section .rodata
digits:	.ascii	"0123456789abcdef"
farewell: .ascii "Shutdown"
	.section .note.GNU-stack, "", %progbits
