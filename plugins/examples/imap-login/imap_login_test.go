package imaplogin_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// need skips where a program, or a library of the interpreter's, is not there.
func need(t *testing.T, command ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Skipf("%v: %v: %s", command, err, out)
	}
}

func run(t *testing.T, command ...string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
	return out
}

func TestItsOwnTestsPass(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/python3", "--version")
	need(t, "openssl", "version")
	need(t, "make", "--version")
	run(t, "make", "test")
}

func TestItBuildsIntoOneFile(t *testing.T) {
	t.Parallel()
	need(t, "/usr/bin/python3", "--version")
	need(t, "make", "--version")
	library, err := filepath.Abs("../../sdk/python")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"Makefile", "__main__.py", "imap_login.py"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "make", "-C", dir, "SDK="+library)
	var got struct {
		Name  string `json:"name"`
		Kinds []struct {
			Name string `json:"name"`
		} `json:"kinds"`
	}
	out := run(t, filepath.Join(dir, "dist", "mail"), "--describe")
	if err := json.Unmarshal(out, &got); err != nil || got.Name != "mail" || len(got.Kinds) != 1 || got.Kinds[0].Name != "imap-login" {
		t.Errorf("got %v, %s, want the manifest of mail with imap-login", err, out)
	}
}
