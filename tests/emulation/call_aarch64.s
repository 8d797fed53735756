// Makes the calls of the table `calls` as a program of Linux and writes what they left in `results`.
	.text
	.globl	_start
_start:
	ldr	x19, =results
	ldr	x20, =results_end
	mov	w9, #0xa5			// every result begins with this byte
	mov	x0, x19
1:	cmp	x0, x20
	b.hs	2f
	strb	w9, [x0], #1
	b	1b
2:	ldr	x21, =calls
3:	ldp	x9, x0, [x21], #16		// function, buffers
	cbz	x9, 4f
	ldp	x1, x2, [x21], #16		// samples, first item
	ldr	x3, [x21], #8			// behind the last item
	blr	x9
	b	3b
4:	subs	x2, x20, x19
	b.ls	5f
	mov	x0, #1
	mov	x1, x19
	mov	x8, #64				// write
	svc	#0
	cmp	x0, #0
	b.le	6f
	add	x19, x19, x0
	b	4b
5:	mov	x0, #0
	b	7f
6:	mov	x0, #1
7:	mov	x8, #93				// exit
	svc	#0
	.section .note.GNU-stack, "", %progbits
