package shim

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"syscall"
)

// largestFile is the largest file that the program may write.
const largestFile = 1 << 30

// oomScore makes the kernel take the program, not the agent, where memory is short. -1000 to 1000; 0 is usual.
const oomScore = "500"

// failure is why the program was not started.
type failure struct {
	code  int
	doing string
	err   error
}

// serve reads the Spec, confines this thread and becomes the program; the other threads end with that. It returns never.
func serve() {
	runtime.LockOSThread()
	if !asked() {
		say(2, Prefix+"started by the agent to confine a plugin or a program of an exec check; it is not for people\n")
		syscall.Exit(ExitTyped)
	}
	text, err := receive()
	if err != nil {
		fail(failure{ExitSetup, "reading what to run", err})
	}
	if text == "" {
		syscall.Exit(0) // the agent thought better of it
	}
	spec, err := decode(text)
	if err != nil {
		fail(failure{ExitSetup, "reading what to run", err})
	}
	for _, step := range steps() {
		if err := step.do(&spec); err != nil {
			fail(failure{ExitSetup, step.doing, err})
		}
	}
	fail(become(&spec))
}

// asked reports whether the agent is at the other end.
func asked() bool {
	var st syscall.Stat_t
	if len(os.Args) != 2 || syscall.Fstat(SpecFD, &st) != nil { //nolint:forbidigo // it is a program's beginning
		return false
	}
	kind := st.Mode & syscall.S_IFMT
	return kind == syscall.S_IFIFO || kind == syscall.S_IFSOCK
}

// receive reads the Spec. It is "" where the agent closed the pipe without a word, and ends at the lone NUL: a socket
// stays open.
func receive() (string, error) {
	_ = syscall.SetNonblock(SpecFD, false)
	var all []byte
	piece := make([]byte, 64<<10)
	for len(all) <= MaxSpec {
		n, err := syscall.Read(SpecFD, piece)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return "", err
		}
		all = append(all, piece[:max(n, 0)]...)
		whole := len(all) > 1 && all[len(all)-1] == 0 && all[len(all)-2] == 0
		switch {
		case whole, n == 0 && len(all) == 0:
			return string(all), nil
		case n == 0:
			return "", errSpec // the agent died meanwhile
		}
	}
	return "", syscall.E2BIG
}

type step struct {
	doing string
	do    func(*Spec) error
}

// steps are in their order: what is written to the agent's files comes before the walls, and the walls before the program.
func steps() []step {
	return []step{
		{"setting the order of the kernel's kills", func(*Spec) error {
			_ = write("/proc/self/oom_score_adj", oomScore) // an agent that is worse off already may keep it
			return nil
		}},
		{"joining the cgroup", func(s *Spec) error {
			if s.Cgroup == "" {
				return nil
			}
			return write(s.Cgroup+"/cgroup.procs", "0")
		}},
		{"setting limits", limits},
		{"entering the folder", func(s *Spec) error {
			if s.Dir == "" {
				return nil
			}
			return syscall.Chdir(s.Dir)
		}},
		{"giving up privileges", privileges},
		{"closing descriptors", closeRest},
		{"confining with Landlock", landlock},
		{"confining with seccomp", seccomp},
	}
}

func limits(s *Spec) error {
	bounds := map[int]uint64{syscall.RLIMIT_CORE: 0, syscall.RLIMIT_FSIZE: largestFile}
	if s.Files > 0 {
		bounds[syscall.RLIMIT_NOFILE] = uint64(s.Files)
	}
	for what, most := range bounds {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(what, &now); err != nil {
			return err
		}
		most = min(most, now.Max)
		err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: most, Max: most})
		if err != nil && !errors.Is(err, syscall.EPERM) { // EPERM: the unit's filter forbids it, and has limits of its own
			return err
		}
	}
	return nil
}

// kept are the capabilities that a program keeps which root runs: those on files and identities, which Landlock bounds,
// and those of a ping and a low port. Without the others root cannot look past Landlock, raise its limits, or take the
// system down.
func kept(capability uintptr) bool {
	const chown, setuid, bindService, netRaw = 0, 7, 10, 13
	return capability >= chown && capability <= setuid || capability == bindService || capability == netRaw
}

// privileges gives up what root has beyond kept, and that any program to come gains what this one has not.
func privileges(*Spec) error {
	const last = 63
	for capability := range uintptr(last + 1) {
		if !kept(capability) {
			_ = prctl(prCapBoundDrop, capability, 0) // who may not drop it has none of them
		}
	}
	return prctl(prSetNoNewPrivs, 1, 0)
}

// closeRest has every descriptor but the three usual ones closed when the program begins, and but that of a script, which
// its interpreter opens by /proc/self/fd.
func closeRest(s *Spec) error {
	const first, onExec = ProgramFD + 1, 1 << 2
	syscall.CloseOnExec(SpecFD)
	if s.Path != "" || !script() {
		syscall.CloseOnExec(ProgramFD)
	}
	if _, _, errno := syscall.RawSyscall(sysCloseRange, first, uintptr(^uint32(0)), onExec); errno == 0 {
		return nil
	}
	entries, err := os.ReadDir("/proc/self/fd") // before Linux 5.11
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// script reports whether the program begins with #!. One that cannot be read is none: an interpreter could not either.
func script() bool {
	fd, err := syscall.Open(programPath(), syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	head := make([]byte, 2)
	n, _ := syscall.Read(fd, head)
	_ = syscall.Close(fd)
	return n == len(head) && string(head) == "#!"
}

func programPath() string { return "/proc/self/fd/" + strconv.Itoa(ProgramFD) }

// become executes the program, and returns only where that failed.
func become(s *Spec) failure {
	path := s.Path
	if path == "" {
		path = programPath()
	}
	err := syscall.Exec(path, s.Argv, s.Env)                           //nolint:gosec // the agent says what is run
	for try := 0; errors.Is(err, syscall.ETXTBSY) && try < 10; try++ { // it is being installed, or a fork has not come to its exec
		pause := syscall.NsecToTimespec(30e6)
		_ = syscall.Nanosleep(&pause, nil)
		err = syscall.Exec(path, s.Argv, s.Env) //nolint:gosec // the agent says what is run
	}
	code := ExitDenied
	if errors.Is(err, syscall.ENOENT) {
		code = ExitAbsent
	}
	return failure{code, "executing the program", err}
}

// fail tells the agent, by its socket where it gave one, else the reader of standard error, and ends.
func fail(f failure) {
	text := f.doing + ": " + f.err.Error() + "\n"
	number, _ := errors.AsType[syscall.Errno](f.err)
	if !say(SpecFD, strconv.Itoa(f.code)+" "+strconv.Itoa(int(number))+" "+text) {
		say(2, Prefix+text)
	}
	syscall.Exit(f.code)
}

func say(fd int, text string) bool {
	n, err := syscall.Write(fd, []byte(text))
	return err == nil && n == len(text)
}

func write(path, text string) error {
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = syscall.Write(fd, []byte(text))
	_ = syscall.Close(fd)
	return err
}
