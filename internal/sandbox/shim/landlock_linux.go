package shim

import (
	"strings"
	"syscall"
	"unsafe"
)

// Numbers of Linux that package syscall does not know; these are the same on every architecture.
const (
	sysCloseRange            = 436
	sysOpenat2               = 437
	sysLandlockCreateRuleset = 444
	sysLandlockAddRule       = 445
	sysLandlockRestrictSelf  = 446
	prSetNoNewPrivs          = 38
	prCapBoundDrop           = 24
	oPath                    = 0x200000
)

// The rights of Landlock on files (include/uapi/linux/landlock.h).
const (
	execute = 1 << iota
	writeFile
	readFile
	readDir
	removeDir
	removeFile
	makeChar
	makeDir
	makeReg
	makeSock
	makeFifo
	makeBlock
	makeSym
	refer    // ABI 2
	truncate // ABI 3
	ioctlDev // ABI 5

	anyABI  = refer - 1
	reading = execute | readFile | readDir
	// changing leaves out devices: nobody makes them but who is root, and who is root could read a disk by one.
	changing = reading | writeFile | removeDir | removeFile | makeDir | makeReg | makeSock | makeFifo | makeSym | refer | truncate
	// onFiles are the rights that a file can have that is no folder.
	onFiles = execute | writeFile | readFile | truncate | ioctlDev
)

// The rights on the network, since ABI 4, and the scopes, since ABI 6.
const (
	bindTCP        = 1 << 0
	connectTCP     = 1 << 1
	scopeAbstract  = 1 << 0 // no abstract socket of a process outside
	scopeSignal    = 1 << 1 // no signal to one
	ruleBeneath    = 1
	rulePort       = 2
	rulesetVersion = 1
)

// ABI is the version of Landlock that this kernel has and this process may use; 0 is none.
func ABI() int {
	version, _, errno := syscall.RawSyscall(sysLandlockCreateRuleset, 0, 0, rulesetVersion)
	if errno != 0 {
		return 0
	}
	return int(version)
}

type rulesetAttr struct{ fs, net, scoped uint64 }

// attr is what is denied unless a rule allows it, as far as the kernel's version knows it, and its size there.
func attr(s *Spec, abi int) (a rulesetAttr, size uintptr) {
	a.fs = anyABI
	size = 8
	for since, right := range map[int]uint64{2: refer, 3: truncate, 5: ioctlDev} {
		if abi >= since {
			a.fs |= right
		}
	}
	if abi >= 4 {
		size = 16
		switch {
		case s.Isolated:
			a.net = bindTCP | connectTCP
		case s.Bounded:
			a.net = connectTCP
		}
	}
	if abi >= 6 {
		size = 24
		a.scoped = scopeAbstract | scopeSignal
	}
	return a, size
}

// landlock closes everything to this thread but what the Spec and the system's own files allow.
func landlock(s *Spec) error {
	abi := ABI()
	if abi == 0 {
		return nil // the agent knows: sandbox.Look
	}
	handled, size := attr(s, abi)
	fd, _, errno := syscall.RawSyscall(sysLandlockCreateRuleset, uintptr(unsafe.Pointer(&handled)), size, 0) //nolint:gosec // the kernel wants an address
	if errno != 0 {
		return errno
	}
	ruleset := int(fd)
	defer func() { _ = syscall.Close(ruleset) }()
	if err := allowFD(ruleset, ProgramFD, reading&handled.fs); err != nil {
		return err
	}
	for right, paths := range map[uint64][]string{
		reading:                         append(System(), s.Read...),
		readFile | readDir:              {"/proc", "/sys"},
		readFile | writeFile | ioctlDev: {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"},
		changing:                        s.Write,
	} {
		for _, path := range paths {
			if err := allow(ruleset, path, right&handled.fs); err != nil {
				return err
			}
		}
	}
	if s.Bounded && !s.Isolated && abi >= 4 {
		if err := allowPorts(ruleset, s.Ports); err != nil {
			return err
		}
	}
	_, _, errno = syscall.RawSyscall(sysLandlockRestrictSelf, fd, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// allow gives rights on a file or on all that is below a folder. What is not there, or not for this user, needs none.
func allow(ruleset int, path string, rights uint64) error {
	fd, err := syscall.Open(path, oPath|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil // it is not there
	}
	defer func() { _ = syscall.Close(fd) }()
	return allowFD(ruleset, fd, rights)
}

func allowFD(ruleset, fd int, rights uint64) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		rights &= onFiles
	}
	rule := struct { // packed there: what follows the descriptor is not read
		rights uint64
		fd     int32
	}{rights, int32(fd)}
	return addRule(ruleset, ruleBeneath, unsafe.Pointer(&rule)) //nolint:gosec // the kernel wants an address
}

func allowPorts(ruleset int, ports []uint16) error {
	for _, port := range ports {
		rule := struct{ rights, port uint64 }{connectTCP, uint64(port)}
		if err := addRule(ruleset, rulePort, unsafe.Pointer(&rule)); err != nil { //nolint:gosec // the kernel wants an address
			return err
		}
	}
	return nil
}

func addRule(ruleset, kind int, rule unsafe.Pointer) error {
	_, _, errno := syscall.RawSyscall6(sysLandlockAddRule, uintptr(ruleset), uintptr(kind), uintptr(rule), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// System is what every program may read and execute: the system's programs and libraries, what name resolution, TLS and
// time need, and who is logged in, which check_users would count as nobody. A file is known by itself, not by its name: a long-lived program does not see the next /etc/resolv.conf
// where that is exchanged and not written to; where it leads into /run, the folder there is allowed.
func System() []string {
	list := []string{
		"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
		"/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/ca-certificates.conf", "/etc/crypto-policies",
		"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/host.conf", "/etc/services",
		"/etc/protocols", "/etc/localtime", "/etc/timezone", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
		"/etc/passwd", "/etc/group", "/etc/alternatives", "/etc/os-release", "/etc/locale.alias",
		"/etc/python3", "/run/systemd/resolve", "/run/utmp",
	}
	for minor := range strings.FieldsSeq("7 8 9 10 11 12 13 14 15 16") {
		list = append(list, "/etc/python3."+minor)
	}
	if target, err := readlink("/etc/resolv.conf"); err == nil && strings.HasPrefix(target, "/run/") {
		if i := strings.LastIndexByte(target, '/'); i > len("/run") && !strings.Contains(target, "/..") {
			list = append(list, target[:i])
		}
	}
	return list
}

func readlink(path string) (string, error) {
	buf := make([]byte, 4096)
	n, err := syscall.Readlink(path, buf)
	if err != nil {
		return "", err
	}
	target := string(buf[:n])
	if rest, relative := strings.CutPrefix(target, "../"); relative {
		target = "/" + rest
	}
	return target, nil
}

func prctl(what, a, b uintptr) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, what, a, b, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
