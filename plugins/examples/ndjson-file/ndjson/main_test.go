package ndjson_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asWriter makes this binary the process that TestNothingIsLostOrDoubledByKills kills.
const asWriter = "NDJSON_TEST_WRITER"

func TestMain(m *testing.M) {
	if with := os.Getenv(asWriter); with != "" { //nolint:forbidigo // this is a program
		os.Exit(writer(with)) //nolint:forbidigo // this is a program
	}
	goleak.VerifyTestMain(m)
}
