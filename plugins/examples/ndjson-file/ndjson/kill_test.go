package ndjson_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/plugins/examples/ndjson-file/ndjson"
)

// order is what the writer is told to write; its answer is the state.
type order struct {
	From  int    `json:"from"`
	N     int    `json:"n"`
	State []byte `json:"state"` // of the first order
}

// writer is the process that is killed: an exporter that takes orders.
func writer(with string) int {
	stdin, stdout := os.Stdin, os.Stdout //nolint:forbidigo // this is a program
	in := json.NewDecoder(bufio.NewReader(stdin))
	var e exporters.Exporter
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			return 0
		}
		if e == nil {
			var err error
			if e, err = ndjson.Kind().New(exportertest.Decoder(with, ""), exporters.Env{State: o.State}); err != nil {
				return complain(err)
			}
		}
		outcome, err := e.Export(context.Background(), numbered(o.From, o.N))
		if err != nil {
			return complain(err)
		}
		if err := json.NewEncoder(stdout).Encode(outcome.State); err != nil {
			return 0
		}
	}
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "writer:", err) //nolint:forbidigo // this is a program
	return 1
}

// life runs a writer until it is killed, and returns how many records are acknowledged by then, and the state.
func life(t *testing.T, with string, done int, state []byte, after time.Duration) (int, []byte) {
	t.Helper()
	cmd := again(t, asWriter+"="+with)
	var said strings.Builder
	cmd.Stderr = &said
	orders, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out, in := json.NewEncoder(orders), json.NewDecoder(answers)
	var killer *time.Timer
	for {
		n := 1 + rand.IntN(40)
		var next []byte
		if out.Encode(order{done, n, state}) != nil || in.Decode(&next) != nil {
			break
		}
		done, state = done+n, next
		if killer == nil { // it lives
			killer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = orders.Close()
	_, _ = io.Copy(io.Discard, answers)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the writer ended by itself: %v: %s", err, said.String())
	}
	return done, state
}

func TestNothingIsLostOrDoubledByKills(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	with := "folder: " + folder + "\nmax_size: 65536\ngzip: true\n"
	done, kills := 0, 40
	if testing.Short() {
		kills = 5
	}
	var state []byte
	for range kills {
		done, state = life(t, with, done, state, time.Duration(rand.IntN(30_000))*time.Microsecond)
	}
	last := open(t, folder, with[len("folder: "+folder+"\n"):], state)
	send(t, last, numbered(done, 50)) // what was written and not acknowledged is among it
	end(t, last)
	if diff := cmp.Diff(idsOf(numbered(0, done+50)), ids(t, folder)); diff != "" {
		t.Errorf("after %d kills and %d records (-want +got):\n%.2000s", kills, done, diff)
	}
	t.Logf("%d kills, %d records, %d files", kills, done, len(files(t, folder)))
}
