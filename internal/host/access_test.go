package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/windsock-monitor/windsock/internal/host"
)

// The user that files are judged for, who is nobody on the machine, and a group that it is in.
const (
	uid, gid, shared = 54711, 54712, 54713
)

func service() *host.Service {
	return &host.Service{Unit: "windsock.service", Account: host.Account{Name: "windsock", Group: "windsock", UID: uid, GIDs: []int{gid, shared}}}
}

// give makes a file of these owners and this mode, below folders that everybody may pass.
func give(t *testing.T, path string, owner, group int, mode os.FileMode) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(path, owner, group); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func folder(t *testing.T, path string, owner, group int, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return give(t, path, owner, group, mode)
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("gives files to other users, which only root can")
	}
}

// TestRightsAreJudgedForTheServiceNotForWhoAsks: as root, which may do all. Each judgement is then put to the kernel, by a
// process of that user.
func TestRightsAreJudgedForTheServiceNotForWhoAsks(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	tests := map[string]struct {
		owner, group int
		mode         os.FileMode
		dir          os.FileMode // of the folder, root's
		use          host.Use
		want         host.Level
		says, fix    string
	}{
		"a file of its own":                             {uid, gid, 0o600, 0o755, host.Secret, host.OK, "", ""},
		"a file of its group":                           {0, gid, 0o640, 0o755, host.Secret, host.OK, "", ""},
		"a file of another group that it is in":         {0, shared, 0o640, 0o755, host.Read, host.OK, "", ""},
		"root's file":                                   {0, 0, 0o600, 0o755, host.Read, host.Wrong, "windsock (uid 54711) cannot read", "chmod 0644 "},
		"root's key":                                    {0, 0, 0o600, 0o755, host.Secret, host.Wrong, "windsock (uid 54711) cannot read", "chown root:windsock "},
		"its own file that keeps it out":                {uid, gid, 0o044, 0o755, host.Read, host.Wrong, "mode 0044", "chmod 0644 "},
		"a folder that keeps it out":                    {uid, gid, 0o644, 0o700, host.Read, host.Wrong, "with mode 0700", "chmod o+x "},
		"a key that everybody can read":                 {uid, gid, 0o644, 0o755, host.Secret, host.Wrong, "lets everybody read it", "chmod 0640 "},
		"a key that its group can write":                {uid, gid, 0o660, 0o755, host.Secret, host.Wrong, "lets others write it", "chmod 0640 "},
		"a stranger's key":                              {1234, gid, 0o640, 0o755, host.Secret, host.Wrong, "belongs to 1234, want root or windsock", "chown root:windsock "},
		"a key that another of its groups can read too": {0, shared, 0o640, 0o755, host.Secret, host.Warning, "can read", "chown root:windsock "},
		"a key in a folder that all can change":         {0, gid, 0o640, 0o777, host.Secret, host.Wrong, "others can exchange", "chmod o-w,g-w "},
		"a program":                                     {0, 0, 0o755, 0o755, host.Run, host.OK, "", ""},
		"a program that nobody may execute":             {0, 0, 0o644, 0o755, host.Run, host.Wrong, "cannot execute", "chmod 0755 "},
		"a program that others can change":              {0, 0, 0o777, 0o755, host.Run, host.Wrong, "others can change", "chmod go-w "},
		"a stranger's program":                          {1234, 0, 0o755, 0o755, host.Run, host.Wrong, "belongs to 1234", "chown root:root "},
		"a program in a folder that all can change":     {0, 0, 0o755, 0o777, host.Run, host.Wrong, "others can change", "chmod go-w "},
		"a socket of a group that it is not in":         {0, 777, 0o660, 0o755, host.Connect, host.Wrong, "cannot connect to", "SupplementaryGroups=777"},
		"a folder of a group that it is not in":         {0, 777, 0o660, 0o000, host.Connect, host.Wrong, "cannot connect to", "chmod o+x "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, filepath.Join(open(t), "d"), 0, 0, tt.dir)
			path := give(t, filepath.Join(dir, "file"), tt.owner, tt.group, tt.mode)
			got := host.Judge(service(), host.Options{}, host.File{What: "it", Path: path, Use: tt.use})
			if got.Level != tt.want || !strings.Contains(got.Detail, tt.says) || !strings.Contains(got.Fix, tt.fix) {
				t.Errorf("got %+v, want %s, %q, %q", got, tt.want, tt.says, tt.fix)
			}
			kernel := access(t, path, tt.use)
			if judged := !strings.Contains(got.Detail, " cannot "); judged != kernel {
				t.Errorf("the kernel says %t, got %+v", kernel, got)
			}
		})
	}
}

// open is a folder that everybody may pass, down from the root.
func open(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "windsock-host-") //nolint:usetesting // the test's own folder is not for other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// access asks the kernel, as that user.
func access(t *testing.T, path string, use host.Use) bool {
	t.Helper()
	flags := map[host.Use]string{host.Read: "-r", host.Secret: "-r", host.Run: "-x", host.Connect: "-w"}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/test", flags[use], path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: []uint32{gid, shared}}}
	return cmd.Run() == nil
}

// TestTheFixOfAFindingWorksWhenPasted: the command is run, and the finding is gone.
func TestTheFixOfAFindingWorksWhenPasted(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	for name, arrange := range map[string]func(dir string) (path string, use host.Use){
		"root's key": func(dir string) (string, host.Use) { return give(t, dir+"/key", 0, 0, 0o600), host.Secret },
		"a key for all, with a blank in its name": func(dir string) (string, host.Use) {
			return give(t, dir+"/a key's", 0, 0, 0o666), host.Secret
		},
		"a program for all": func(dir string) (string, host.Use) { return give(t, dir+"/program", 1234, 0, 0o777), host.Run },
		"a closed folder": func(dir string) (string, host.Use) {
			folder(t, dir+"/closed", 0, 0, 0o700)
			return give(t, dir+"/closed/ca.pem", 0, 0, 0o644), host.Read
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, use := arrange(open(t))
			s := service()
			s.Account.Group = strconv.Itoa(gid) // there is no group of that name here
			file := host.File{What: "it", Path: path, Use: use}
			for range 3 { // one finding may hide the next
				found := host.Judge(s, host.Options{}, file)
				if found.Level == host.OK {
					return
				}
				if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", found.Fix).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v: %s", found.Fix, err, out)
				}
			}
			t.Errorf("still there: %+v", host.Judge(s, host.Options{}, file))
		})
	}
}

// TestAFileThatIsNotThere: the part that is missing is named.
func TestAFileThatIsNotThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := &host.Service{Account: host.Account{Name: "me", Group: "me", UID: os.Geteuid(), GIDs: []int{os.Getegid()}}}
	got := host.Judge(s, host.Options{}, host.File{What: "ca_file of line 3", Path: filepath.Join(dir, "no", "ca.pem"), Use: host.Read})
	if got.Level != host.Wrong || !strings.HasSuffix(got.Detail, filepath.Join(dir, "no")+" does not exist") || got.Subject != "ca_file of line 3" {
		t.Errorf("got %+v", got)
	}
}

// TestAStateDirectoryOfRoot: what root made in it keeps the agent from writing.
func TestAStateDirectoryOfRoot(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	state := folder(t, filepath.Join(open(t), "state"), uid, gid, 0o700)
	look := func() (found host.Finding) {
		for _, f := range host.Look(t.Context(), service(), host.Options{Root: t.TempDir(), StateDir: state, Config: "/etc/hostname"}) {
			if f.Subject == "state directory" {
				found = f
			}
		}
		return found
	}
	if got := look(); got.Level != host.OK {
		t.Errorf("of its own: got %+v", got)
	}
	give(t, filepath.Join(state, "spare"), 0, 0, 0o600)
	if got := look(); got.Level != host.Wrong || !strings.Contains(got.Detail, "cannot write spare") || !strings.HasPrefix(got.Fix, "chown -R windsock:windsock ") {
		t.Errorf("with a file of root: got %+v", got)
	}
	folder(t, state, 0, 0, 0o755)
	if got := look(); got.Level != host.Wrong || !strings.Contains(got.Detail, "cannot write it") {
		t.Errorf("of root: got %+v", got)
	}
}
