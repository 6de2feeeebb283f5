package ndjson_test

import (
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"
)

// What makes this binary another process than the tests.
const (
	asWriter  = "NDJSON_TEST_WRITER"  // the one that is killed
	asCramped = "NDJSON_TEST_CRAMPED" // the one that meets a limit
)

func TestMain(m *testing.M) {
	if with := os.Getenv(asWriter); with != "" { //nolint:forbidigo // this is a program
		os.Exit(writer(with)) //nolint:forbidigo // this is a program
	}
	if folder := os.Getenv(asCramped); folder != "" { //nolint:forbidigo // this is a program
		if err := cramped(folder); err != nil {
			os.Exit(complain(err)) //nolint:forbidigo // this is a program
		}
		os.Exit(0) //nolint:forbidigo // this is a program
	}
	goleak.VerifyTestMain(m)
}

// again is this binary as another process.
func again(t *testing.T, env string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(cmd.Environ(), env)
	return cmd
}
