package pause

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// The program, on either machine:
//
//	set = {SIGINT, SIGTERM, SIGCHLD}
//	sigprocmask(SIG_BLOCK, set)
//	loop:
//		switch sigtimedwait(set, no info, no timeout)
//		SIGCHLD:      while wait4(any child, WNOHANG) > 0 {}
//		interrupted:  again
//		else:         exit_group(0)
//
// A blocked signal is kept even for the first process of a namespace, which is
// deaf to those it has no handler for. So no handler is needed, and no signal
// is lost between two system calls.
var code = map[string][]byte{
	"amd64": {
		0x68, 0x02, 0x40, 0x01, 0x00, // push 1<<(SIGINT-1) | 1<<(SIGTERM-1) | 1<<(SIGCHLD-1)
		0x31, 0xff, //                   xor  edi, edi       SIG_BLOCK
		0x48, 0x89, 0xe6, //             mov  rsi, rsp       set
		0x31, 0xd2, //                   xor  edx, edx       no old set
		0x6a, 0x08, 0x41, 0x5a, //       mov  r10, 8         bytes in a set
		0x6a, 0x0e, 0x58, //             mov  eax, 14
		0x0f, 0x05, //                   syscall             rt_sigprocmask
		// wait:
		0x48, 0x89, 0xe7, //             mov  rdi, rsp       set
		0x31, 0xf6, //                   xor  esi, esi       no info
		0x31, 0xd2, //                   xor  edx, edx       no timeout
		0x6a, 0x08, 0x41, 0x5a, //       mov  r10, 8
		0xb8, 0x80, 0x00, 0x00, 0x00, // mov  eax, 128
		0x0f, 0x05, //                   syscall             rt_sigtimedwait
		0x83, 0xf8, 0x11, //             cmp  eax, SIGCHLD
		0x74, 0x0d, //                   je   reap
		0x85, 0xc0, //                   test eax, eax
		0x78, 0xe5, //                   js   wait
		0x31, 0xff, //                   xor  edi, edi       status
		0xb8, 0xe7, 0x00, 0x00, 0x00, // mov  eax, 231
		0x0f, 0x05, //                   syscall             exit_group
		// reap:
		0x6a, 0xff, 0x5f, //             mov  rdi, -1        any child
		0x31, 0xf6, //                   xor  esi, esi       no status
		0x6a, 0x01, 0x5a, //             mov  rdx, WNOHANG
		0x45, 0x31, 0xd2, //             xor  r10d, r10d     no usage
		0x6a, 0x3d, 0x58, //             mov  eax, 61
		0x0f, 0x05, //                   syscall             wait4
		0x85, 0xc0, //                   test eax, eax
		0x7f, 0xec, //                   jg   reap
		0xeb, 0xc6, //                   jmp  wait
	},
	"arm64": words(
		0xd2880040, // mov  x0, 1<<(SIGINT-1) | 1<<(SIGTERM-1)
		0xf2a00020, // movk x0, 1<<(SIGCHLD-1)>>16, lsl 16
		0xf81f0fe0, // str  x0, [sp, -16]!
		0xaa1f03e0, // mov  x0, 0        SIG_BLOCK
		0x910003e1, // mov  x1, sp       set
		0xaa1f03e2, // mov  x2, 0        no old set
		0xb27d03e3, // mov  x3, 8        bytes in a set
		0xd28010e8, // mov  x8, 135
		0xd4000001, // svc               rt_sigprocmask
		// wait:
		0x910003e0, // mov  x0, sp       set
		0xaa1f03e1, // mov  x1, 0        no info
		0xaa1f03e2, // mov  x2, 0        no timeout
		0xb27d03e3, // mov  x3, 8
		0xd2801128, // mov  x8, 137
		0xd4000001, // svc               rt_sigtimedwait
		0x7100441f, // cmp  w0, SIGCHLD
		0x540000a0, // b.eq reap
		0x37ffff00, // tbnz w0, 31, wait
		0xaa1f03e0, // mov  x0, 0        status
		0xd2800bc8, // mov  x8, 94
		0xd4000001, // svc               exit_group
		// reap:
		0x92800000, // mov  x0, -1       any child
		0xaa1f03e1, // mov  x1, 0        no status
		0xb24003e2, // mov  x2, WNOHANG
		0xaa1f03e3, // mov  x3, 0        no usage
		0xd2802088, // mov  x8, 260
		0xd4000001, // svc               wait4
		0x7100001f, // cmp  w0, 0
		0x54ffff2c, // b.gt reap
		0x17ffffec, // b    wait
	),
}

// words lays out instructions as memory has them.
func words(instructions ...uint32) []byte {
	out, err := binary.Append(nil, binary.LittleEndian, instructions)
	if err != nil {
		panic(err) // a slice of fixed-size numbers cannot fail
	}
	return out
}

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

const (
	// base is where the file is mapped, headers and all.
	base = 0x400000
	// align is the largest page that Linux has on these machines.
	align = 0x10000
	// The sizes of the two kinds of headers.
	fileHeader, segmentHeader = 64, 56
)

// Program is the executable for an architecture, by Go's name for it.
func Program(arch string) ([]byte, error) {
	text, ok := code[arch]
	if !ok {
		return nil, fmt.Errorf("there is no pause program for %s, only for amd64 and arm64", arch)
	}
	const start = fileHeader + 2*segmentHeader
	size := uint64(start + len(text))
	header := elf.Header64{
		Type:      uint16(elf.ET_EXEC),
		Machine:   uint16(machines[arch]),
		Version:   uint32(elf.EV_CURRENT),
		Entry:     base + start,
		Phoff:     fileHeader,
		Ehsize:    fileHeader,
		Phentsize: segmentHeader,
		Phnum:     2,
	}
	copy(header.Ident[:], []byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)})
	segments := []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: align},
		// Without this the stack would be executable.
		{Type: uint32(elf.PT_GNU_STACK), Flags: uint32(elf.PF_R | elf.PF_W), Align: 16},
	}
	var out bytes.Buffer
	for _, part := range []any{header, segments, text} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			return nil, fmt.Errorf("lay out the pause program: %w", err)
		}
	}
	return out.Bytes(), nil
}
