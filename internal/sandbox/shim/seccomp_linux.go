package shim

import (
	"syscall"
	"unsafe"
)

const (
	prSetSeccomp = 22
	modeFilter   = 2
	retAllow     = 0x7fff0000
	retErrno     = 0x00050000
	clone3       = 435        // the same on every architecture
	fastOpen     = 0x20000000 // MSG_FASTOPEN: a connection that Landlock does not see
	emptied      = 0o1000     // O_TRUNC, the same on the architectures below
	prParent     = 1          // PR_SET_PDEATHSIG: the signal that comes when the parent has ended
	cloneParent  = 0x8000     // CLONE_PARENT: the new process is the parent's child, not the caller's
)

// The instructions of the kernel's classic BPF, on struct seccomp_data.
const (
	opLoad   = 0x20 // the word at an offset
	opMask   = 0x54
	opEqual  = 0x15
	opAtMost = 0x25 // jumps where the word is greater
	opSet    = 0x45 // jumps where a bit is set
	opReturn = 0x06

	atNumber = 0
	atArch   = 4
	atArgs   = 16 // six of eight bytes, the lower four first
)

type instruction struct {
	op     uint16
	jt, jf uint8 // instructions to leave out
	k      uint32
}

type program struct {
	length uint16
	first  *instruction
}

// seccomp closes to this thread what Landlock does not know: other networks than Unix sockets where the program is
// isolated; ways around Landlock's rules on TCP; the calls by which a process changes another of its user, or a file
// that it may not open; the ways out of its session, where it has to stay there; and, where Landlock is too old to know
// them, the ways to empty such a file.
func seccomp(s *Spec) error {
	t, known := calls()
	if !known {
		return nil // the agent knows: sandbox.Look
	}
	filter := t.filter(s, ABI())
	p := program{uint16(len(filter)), &filter[0]}
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetSeccomp, modeFilter, uintptr(unsafe.Pointer(&p))) //nolint:gosec // the kernel wants an address
	if errno == 0 || errno == syscall.EINVAL || errno == syscall.ENOSYS {                                       // the kernel has it not
		return nil
	}
	return errno
}

// Seccomp reports whether this kernel filters system calls, and the filter is written for this architecture.
func Seccomp() bool {
	_, known := calls()
	return known && prctl(prSetSeccomp, modeFilter, 0) == syscall.EFAULT //nolint:errorlint // an errno as it is
}

// table has the numbers of an architecture.
type table struct {
	arch                    uint32 // AUDIT_ARCH_*
	foreign                 uint32 // numbers above it are another ABI's; 0 where there is none
	denied                  []uint32
	onOthers                []uint32 // calls whose first argument is another process, or 0
	setpriority, ioprio     uint32
	prlimit                 uint32
	socket, socketpair      uint32
	sendto, sendmsg, sendmm uint32
	truncate                uint32
	open, openat            uint32 // open is 0 where there is none
	setsid, prctl, clone    uint32
}

// filter is the program for the kernel. Each rule looks at the number of the call, which stands in the accumulator, and
// ends in a verdict where it is its own.
func (t table) filter(s *Spec, abi int) []instruction {
	f := []instruction{load(atArch), {opEqual, 1, 0, t.arch}, deny(), load(atNumber)}
	if t.foreign != 0 {
		f = append(f, instruction{opAtMost, 0, 1, t.foreign}, deny())
	}
	// Its flags lie in memory, and one of them moves the new process out of the cgroup. Libraries take clone where it is absent.
	f = append(f, when(clone3, instruction{op: opReturn, k: retErrno | uint32(syscall.ENOSYS)})...)
	for _, number := range t.denied {
		f = append(f, when(number, deny())...)
	}
	for _, number := range t.onOthers {
		f = append(f, when(number, arg(0), instruction{opEqual, 0, 1, 0}, accept(), deny())...)
	}
	// only itself: which is PRIO_PROCESS, 0, and IOPRIO_WHO_PROCESS, 1; whom is 0
	for which, number := range []uint32{t.setpriority, t.ioprio} {
		f = append(f, when(number, arg(0), instruction{opEqual, 0, 3, uint32(which)}, arg(1), instruction{opEqual, 0, 1, 0}, accept(), deny())...)
	}
	// reading another's limits is harmless: no new ones are given
	f = append(f, when(t.prlimit,
		arg(0), instruction{opEqual, 4, 0, 0}, arg(2), instruction{opEqual, 0, 3, 0}, high(2), instruction{opEqual, 0, 1, 0}, accept(), deny())...)
	if abi > 0 && abi < 3 {
		f = append(f, t.unemptied()...)
	}
	if s.Session {
		f = append(f, t.held()...)
	}
	switch {
	case s.Isolated:
		for _, number := range []uint32{t.socket, t.socketpair} {
			f = append(f, when(number, arg(0), instruction{opEqual, 0, 1, syscall.AF_UNIX}, accept(), deny())...)
		}
	case s.Bounded:
		f = append(f, t.bounded()...)
	}
	return append(f, accept())
}

// held keeps the program, and all that it starts, in the session that it was started in, by whose number they are found, and
// leaves it the signal that ends it with the agent. Nothing that it starts becomes the agent's own child, which nobody would
// reap.
func (t table) held() []instruction {
	f := append(when(t.setsid, deny()), when(t.prctl,
		arg(0), instruction{opEqual, 0, 3, prParent}, arg(1), instruction{opEqual, 1, 0, uint32(syscall.SIGKILL)}, deny(), accept())...)
	return append(f, when(t.clone, arg(0), instruction{opSet, 0, 1, cloneParent}, deny(), accept())...)
}

// unemptied leaves no way to empty a file but by a descriptor to write to it, which Landlock gives or does not. Landlock
// before its third version does not see truncate, nor what open does to a file with O_TRUNC where it opens it for nothing,
// or to read. openat2 hides its flags from this filter, and is called by none that cannot do without.
func (t table) unemptied() []instruction {
	f := append(when(t.truncate, deny()), when(sysOpenat2, instruction{op: opReturn, k: retErrno | uint32(syscall.ENOSYS)})...)
	for number, flags := range map[uint32]int{t.open: 1, t.openat: 2} {
		if number == 0 {
			continue
		}
		f = append(f, when(number,
			arg(flags), instruction{op: opMask, k: emptied | syscall.O_ACCMODE},
			instruction{opEqual, 1, 0, emptied | syscall.O_RDONLY}, instruction{opEqual, 0, 1, emptied | syscall.O_ACCMODE},
			deny(), accept())...)
	}
	return f
}

// bounded leaves no stream but TCP, and no way into TCP but connect.
func (t table) bounded() []instruction {
	const verdict = 11 // where accept stands; a jump counts from the instruction after its own
	to := func(from int) uint8 { return uint8(verdict - from - 1) }
	socket := []instruction{
		arg(0),
		{opEqual, to(1), 0, syscall.AF_UNIX},
		{opEqual, to(2), 0, syscall.AF_NETLINK},
		{opEqual, 1, 0, syscall.AF_INET},
		{opEqual, 0, to(4) + 1, syscall.AF_INET6},
		arg(2),
		{opEqual, to(6), 0, 0},
		{opEqual, to(7), 0, syscall.IPPROTO_TCP},
		{opEqual, to(8), 0, syscall.IPPROTO_UDP},
		{opEqual, to(9), 0, syscall.IPPROTO_ICMP},
		{opEqual, to(10), 1, syscall.IPPROTO_ICMPV6},
		accept(), deny(),
	}
	f := when(t.socket, socket...)
	for number, flags := range map[uint32]int{t.sendto: 3, t.sendmsg: 2, t.sendmm: 3} {
		f = append(f, when(number, arg(flags), instruction{opSet, 1, 0, fastOpen}, accept(), deny())...)
	}
	return f
}

// when leaves the body out for every call but one. The body ends in verdicts.
func when(number uint32, body ...instruction) []instruction {
	return append([]instruction{{opEqual, 0, uint8(len(body)), number}}, body...)
}

func load(at uint32) instruction { return instruction{op: opLoad, k: at} }

func arg(i int) instruction { return load(uint32(atArgs + 8*i)) }

func high(i int) instruction { return load(uint32(atArgs + 8*i + 4)) }

func accept() instruction { return instruction{op: opReturn, k: retAllow} }

func deny() instruction { return instruction{op: opReturn, k: retErrno | uint32(syscall.EPERM)} }
