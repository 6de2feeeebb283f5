// Command hostile is a program that the agent must be safe from: each verb tries one thing. It exits with 0 where it
// succeeded, with 10 and the errno where it was not let, and with 20 where it could not try.
//
// The verb victim stands for the agent: it has a secret in its environment and its memory, listens on an abstract socket,
// and ends with its standard input.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) < 2 || attempts()[os.Args[1]] == nil {
		give(20, "no such attempt")
	}
	err := attempts()[os.Args[1]](os.Args[2:])
	var errno syscall.Errno
	switch {
	case err == nil:
		give(0, "done")
	case errors.As(err, &errno):
		give(10, strconv.Itoa(int(errno))+" "+err.Error())
	}
	give(20, err.Error())
}

func give(code int, text string) {
	fmt.Println(text)
	os.Exit(code)
}

func attempts() map[string]func([]string) error {
	return map[string]func([]string) error{
		"victim":        victim,
		"read":          func(a []string) error { _, err := os.ReadFile(a[0]); return err },
		"list":          func(a []string) error { _, err := os.ReadDir(a[0]); return err },
		"follow":        func(a []string) error { _, err := os.Readlink(a[0]); return err },
		"create":        func(a []string) error { return os.WriteFile(a[0]+"/new", nil, 0o600) },
		"overwrite":     overwrite,
		"truncate":      func(a []string) error { return os.Truncate(a[0], 1) },
		"empty to read": func(a []string) error { return emptied(a[0], unix.O_RDONLY) },
		"empty by 3":    func(a []string) error { return emptied(a[0], unix.O_ACCMODE) },
		"empty by openat2": func(a []string) error {
			fd, err := unix.Openat2(unix.AT_FDCWD, a[0], &unix.OpenHow{Flags: unix.O_ACCMODE | unix.O_TRUNC})
			if err != nil {
				return err
			}
			return unix.Close(fd)
		},
		"remove":       func(a []string) error { return os.Remove(a[0]) },
		"mkdir":        func(a []string) error { return os.Mkdir(a[0]+"/new", 0o700) },
		"symlink":      func(a []string) error { return os.Symlink("x", a[0]+"/new") },
		"listen":       func(a []string) error { _, err := net.Listen("unix", a[0]+"/new"); return err },
		"rename":       func(a []string) error { return os.Rename(a[0], a[1]+"/new") },
		"link":         func(a []string) error { return os.Link(a[0], a[1]+"/new") },
		"read by link": readByLink,
		"chmod":        func(a []string) error { return os.Chmod(a[0], 0o777) },
		"chown":        func(a []string) error { return os.Lchown(a[0], os.Getuid(), os.Getgid()) },
		"setxattr":     func(a []string) error { return unix.Setxattr(a[0], "user.hostile", []byte("x"), 0) },
		"mount":        mount,
		"memory":       memory,
		"vm_read":      vmRead,
		"ptrace":       func(a []string) error { return ptrace(pid(a[0])) },
		"stop":         stop,
		"limit": func(a []string) error {
			return unix.Prlimit(pid(a[0]), unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
		},
		"priority": func(a []string) error { return unix.Setpriority(unix.PRIO_PROCESS, pid(a[0]), 19) },
		"all priorities": func([]string) error {
			return unix.Setpriority(unix.PRIO_USER, 0, 19)
		},
		"processors": func(a []string) error { var set unix.CPUSet; set.Set(0); return unix.SchedSetaffinity(pid(a[0]), &set) },
		"raise":      raise,
		"unkillable": func([]string) error { return os.WriteFile("/proc/self/oom_score_adj", []byte("499"), 0) },
		"leave":      func(a []string) error { return os.WriteFile(a[0]+"/cgroup.procs", []byte("0"), 0) },
		"tcp":        func(a []string) error { return dial(unix.SOCK_STREAM, 0, a[0]) },
		"mptcp":      func(a []string) error { return dial(unix.SOCK_STREAM, 262, a[0]) },
		"fast open":  fastOpen,
		"udp":        func(a []string) error { return dial(unix.SOCK_DGRAM, 0, a[0]) },
		"netlink":    func([]string) error { _, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, 0); return err },
		"io_uring":   ioUring,
		"abstract":   abstract,
		"unix": func(a []string) error {
			c, err := net.Dial("unix", a[0])
			if err == nil {
				_ = c.Close()
			}
			return err
		},
		"setsid":    func([]string) error { _, err := unix.Setsid(); return err },
		"survive":   func([]string) error { return unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0) },
		"sibling":   sibling,
		"die":       func([]string) error { return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0) },
		"re-exec":   again,
		"inherited": inherited,
	}
}

func pid(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		give(20, err.Error())
	}
	return n
}

const secret = "canary-secret-of-the-agent"

// kept is in the victim's memory, at an address that it tells.
var kept = []byte(secret)

func victim(args []string) error {
	_ = unix.Prctl(unix.PR_SET_PTRACER, unix.PR_SET_PTRACER_ANY, 0, 0, 0) // Yama is not what is tested
	if slices.Contains(args, "undumpable") {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			return err
		}
	}
	name := "@hostile-" + strconv.Itoa(os.Getpid())
	if _, err := net.Listen("unix", name); err != nil {
		return err
	}
	fmt.Println(uintptr(unsafe.Pointer(&kept[0])))
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

func overwrite(a []string) error {
	f, err := os.OpenFile(a[0], os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// emptied empties a file by opening it for what is no right to write.
func emptied(path string, mode int) error {
	fd, err := unix.Open(path, mode|unix.O_TRUNC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// readByLink looks past the walls by a link in a folder that it may write.
func readByLink(a []string) error {
	link := filepath.Join(a[1], "link")
	_ = os.Remove(link)
	if err := os.Symlink(a[0], link); err != nil {
		give(20, err.Error())
	}
	_, err := os.ReadFile(link)
	return err
}

func mount([]string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	return unix.Mount("none", "/mnt", "tmpfs", 0, "")
}

func memory(a []string) error {
	f, err := os.Open("/proc/" + a[0] + "/mem")
	if err != nil {
		return err
	}
	at, err := strconv.ParseInt(a[1], 10, 64)
	if err != nil {
		give(20, err.Error())
	}
	text := make([]byte, len(secret))
	if _, err := f.ReadAt(text, at); err != nil {
		return err
	}
	if !bytes.Equal(text, kept) {
		give(20, "it read something else: "+string(text))
	}
	return nil
}

func vmRead(a []string) error {
	at, err := strconv.ParseUint(a[1], 10, 64)
	if err != nil {
		give(20, err.Error())
	}
	text := make([]byte, len(secret))
	local := []unix.Iovec{{Base: &text[0]}}
	local[0].SetLen(len(text))
	_, err = unix.ProcessVMReadv(pid(a[0]), local, []unix.RemoteIovec{{Base: uintptr(at), Len: len(text)}}, 0)
	return err
}

func ptrace(pid int) error {
	const seize = 0x4206
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, seize, uintptr(pid), 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// stop stops the victim, and lets it go on.
func stop(a []string) error {
	if err := syscall.Kill(pid(a[0]), syscall.SIGSTOP); err != nil {
		return err
	}
	return syscall.Kill(pid(a[0]), syscall.SIGCONT)
}

// raise wants more than it was given.
func raise([]string) error {
	for _, what := range []int{unix.RLIMIT_CORE, unix.RLIMIT_FSIZE, unix.RLIMIT_NOFILE} {
		var now unix.Rlimit
		if err := unix.Getrlimit(what, &now); err != nil {
			give(20, err.Error())
		}
		now.Max++
		if err := unix.Setrlimit(what, &now); err != nil {
			return err
		}
	}
	return nil
}

func address(port string) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: pid(port), Addr: [4]byte{127, 0, 0, 1}}
}

func dial(kind, protocol int, port string) error {
	fd, err := unix.Socket(unix.AF_INET, kind, protocol)
	if err != nil {
		return err
	}
	return unix.Connect(fd, address(port))
}

// fastOpen connects without connect.
func fastOpen(a []string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	return unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, address(a[0]))
}

func ioUring([]string) error {
	var params [120]byte
	_, _, errno := syscall.RawSyscall(425, 1, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func abstract(a []string) error {
	c, err := net.Dial("unix", "@hostile-"+a[0])
	if err == nil {
		_ = c.Close()
	}
	return err
}

// sibling makes a process that is the child of the program's own parent. It ends at once.
func sibling([]string) error {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, unix.CLONE_PARENT|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return nil
}

// again starts the agent's binary as a shim that allows everything, to read a file by it.
func again(a []string) error {
	agent, file, self := a[0], a[1], "/proc/self/exe"
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	program, err := os.Open(self)
	if err != nil {
		return err
	}
	p, err := os.StartProcess(agent, []string{"windsock", "plugin-exec"}, &os.ProcAttr{
		Files: []*os.File{nil, os.Stdout, os.Stderr, read, program},
	})
	if err != nil {
		return err
	}
	spec := "argv=hostile\x00argv=read\x00argv=" + file + "\x00dir=\x00path=\x00read=/\x00write=/\x00isolated=false\x00bounded=false\x00files=0\x00cgroup=\x00\x00"
	if _, err := write.WriteString(spec); err != nil {
		return err
	}
	state, err := p.Wait()
	if err == nil {
		os.Exit(state.ExitCode()) // it has said what became of it
	}
	return err
}

// inherited looks for a descriptor of the file.
func inherited(a []string) error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		give(20, err.Error())
	}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && target == a[0] {
			return nil
		}
	}
	return syscall.EBADF
}
