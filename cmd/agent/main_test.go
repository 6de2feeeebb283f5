package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// What the kernel has of a process that is not dumpable belongs to root: its user may not look.
func TestTheAgentIsClosedToItsUser(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "simulate", "--listen", "127.0.0.1:0")
	cmd.Args[0] = "windsock"
	cmd.Env, cmd.Dir = []string{"SECRET=canary"}, "/"
	uid := os.Geteuid()
	if uid == 0 {
		uid = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it has begun its work
		t.Fatal(err)
	}
	for _, file := range []string{"environ", "mem", "maps"} {
		info, err := os.Stat(fmt.Sprintf("/proc/%d/%s", cmd.Process.Pid, file))
		if err != nil {
			t.Fatal(err)
		}
		if st, _ := info.Sys().(*syscall.Stat_t); st == nil || st.Uid != 0 {
			t.Errorf("its %s belongs to user %d, want root", file, uid)
		}
	}
}
