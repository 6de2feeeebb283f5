//go:build interop

package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

const key = "interop-key-not-a-secret"

type outcome struct {
	OK    json.RawMessage `json:"ok"`
	Error *struct {
		Name    string `json:"name"`
		Status  int    `json:"status"`
		Body    string `json:"body"`
		Message string `json:"message"`
	} `json:"error"`
}

// serve starts the simulator on a real listener and returns its address.
func serve(t *testing.T, opts simulator.Options) (*simulator.Server, string) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := simulator.New(opts)
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return s, "http://" + l.Addr().String()
}

// run plays client.mjs and reads its transcript.
func run(t *testing.T, url string) map[string]outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, "node", "client.mjs")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "WINDSOCK_URL=" + url, "WINDSOCK_KEY=" + key} //nolint:forbidigo // node is found by PATH; nothing else of the machine reaches it
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("node client.mjs: %v (npm ci was run?)\n%s", err, problems.String())
	}
	transcript := map[string]outcome{}
	if err := json.Unmarshal(out.Bytes(), &transcript); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	return transcript
}

// good decodes what a step gave; a step that failed ends the test.
func good[T any](t *testing.T, transcript map[string]outcome, step string) T {
	t.Helper()
	var v T
	o := transcript[step]
	if o.Error != nil {
		t.Fatalf("%s: %s %d: %s", step, o.Error.Name, o.Error.Status, o.Error.Message)
	}
	if err := json.Unmarshal(o.OK, &v); err != nil {
		t.Fatalf("%s: %v in %s", step, err, o.OK)
	}
	return v
}

func failed(t *testing.T, transcript map[string]outcome, step, name string, status int) {
	t.Helper()
	o := transcript[step]
	if o.Error == nil || o.Error.Name != name || o.Error.Status != status {
		t.Errorf("%s: got %s %+v, want %s %d", step, o.OK, o.Error, name, status)
	}
}

func TestOfficialClient(t *testing.T) {
	t.Parallel()
	s, url := serve(t, simulator.Options{Keys: map[string]bool{key: true}})
	transcript := run(t, url)

	type card struct {
		ID, Name, Type, Retires, Replacement string
		Aliases                              int
		Chat                                 bool
	}
	cards := map[string]card{}
	for _, c := range good[[]card](t, transcript, "models") {
		cards[c.ID] = c
	}
	if c := cards["mistral-small-latest"]; c.Name != "mistral-small-2603" || c.Type != "base" || !c.Chat || c.Aliases != 2 || c.Retires != "" {
		t.Errorf("mistral-small-latest: got %+v", c)
	}
	if c := cards["devstral-latest"]; c.Retires == "" || c.Replacement != "mistral-medium-3-5" {
		t.Errorf("devstral-latest: got %+v, want a retirement", c)
	}
	if got := good[card](t, transcript, "model"); got.ID != "mistral-small-latest" || got.Name != "mistral-small-2603" {
		t.Errorf("model: got %+v", got)
	}

	type completion struct {
		Model, Content, Finish string
		Tokens                 int
	}
	whole := good[completion](t, transcript, "complete")
	if whole.Content != "pong" || whole.Finish != "stop" || whole.Tokens < 3 || whole.Model != "mistral-small-latest" {
		t.Errorf("complete: got %+v", whole)
	}
	if got := good[[]string](t, transcript, "reason"); len(got) != 2 || got[0] != "thinking" || got[1] != "text" {
		t.Errorf("reason: got %v", got)
	}
	stream := good[struct {
		Chunks, Tokens  int
		Content, Finish string
		First           struct{ Role, Content string }
	}](t, transcript, "stream")
	if stream.Content != "pong" || stream.Finish != "stop" || stream.Tokens != whole.Tokens || stream.Chunks != 4 || stream.First.Role != "assistant" || stream.First.Content != "" {
		t.Errorf("stream: got %+v", stream)
	}
	vectors := good[struct{ Vectors, Width, Tokens int }](t, transcript, "embed")
	if vectors.Vectors != 2 || vectors.Width != 1024 || vectors.Tokens < 2 {
		t.Errorf("embed: got %+v", vectors)
	}
	failed(t, transcript, "unknown_model", "SDKError", 400)
	failed(t, transcript, "unknown_field", "SDKError", 400)
	if billed := s.Stats().Total; billed.Calls != 4 {
		t.Errorf("billed %+v, want the four calls that were answered", billed)
	}
}

func TestOfficialClientWithARevokedKey(t *testing.T) {
	t.Parallel()
	s, url := serve(t, simulator.Options{Keys: map[string]bool{key: true}})
	s.Revoke(key)
	transcript := run(t, url)
	for _, step := range []string{"models", "model", "complete", "stream", "embed"} {
		failed(t, transcript, step, "SDKError", 401)
		if o := transcript[step]; o.Error != nil && o.Error.Body != `{"detail":"Invalid API Key"}` {
			t.Errorf("%s: body %q", step, o.Error.Body)
		}
	}
}

func TestOfficialClientMeetsTheQuota(t *testing.T) {
	t.Parallel()
	_, url := serve(t, simulator.Options{RequestsPerMinute: 1})
	transcript := run(t, url)
	good[json.RawMessage](t, transcript, "models")
	good[json.RawMessage](t, transcript, "complete")
	for _, step := range []string{"reason", "stream", "embed"} {
		failed(t, transcript, step, "SDKError", 429)
	}
}

func TestOfficialClientMeetsFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault      simulator.Fault
		step, name string
		status     int
	}{
		"a list of violations is its validation error": {simulator.Fault{Status: 422, Body: "detail_list"}, "complete", "HTTPValidationError", 422},
		"a page of the network":                        {simulator.Fault{Error: "bad_gateway"}, "complete", "SDKError", 502},
		"no body":                                      {simulator.Fault{Error: "gateway_timeout"}, "embed", "SDKError", 504},
		"a reset":                                      {simulator.Fault{Reset: "before_header"}, "models", "ConnectionError", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, url := serve(t, simulator.Options{})
			if err := s.Apply(test.fault); err != nil {
				t.Fatal(err)
			}
			failed(t, run(t, url), test.step, test.name, test.status)
		})
	}
}
