package golden_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/plugins/examples/rag-golden/golden"
)

const key = "canary-key-4711-abcdef"

// The texts that must be in no result and no log.
const (
	privateQuestion = "Wie lange darf Frau Mustermann zurückgeben?"
	privateAnswer   = "Frau Mustermann hat 30 Tage Zeit"
)

// set is a golden set of three questions.
const set = `
- id: refund
  question: Within how many days may I return a product?
  must_contain: [30 days]
  any_of: [[free of charge, no cost]]
  must_not_contain: [60 days]
  sources: [policies/returns.md]
- id: vat
  question: What is the VAT on books?
  must_contain: ["5.5 %"]
  sources: ["https://docs.example.com/tax*"]
- id: salary
  question: What does the head of sales earn?
  refusal: true
`

// said is what the endpoint answers to one question.
type said struct {
	Answer  any `json:"answer"`
	Sources any `json:"sources,omitempty"`
}

func good() map[string]said {
	return map[string]said{
		"Within how many days may I return a product?": {"You may return it within **30** days [1], free of charge.", []string{"policies/returns.md"}},
		"What is the VAT on books?":                    {"La TVA est de 5,50 %.", []string{"https://docs.example.com/tax#books"}},
		"What does the head of sales earn?":            {"I’m sorry, I don’t know: the documents do not say.", nil},
	}
}

// endpoint answers as it is told, and remembers what it was asked.
type endpoint struct {
	mu    sync.Mutex // guards asked
	asked []string
	says  map[string]said
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Question string `json:"question"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Method != http.MethodPost {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	e.asked = append(e.asked, in.Question)
	e.mu.Unlock()
	_ = json.NewEncoder(w).Encode(e.says[in.Question])
}

func (e *endpoint) questions() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.asked...)
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// hung is an endpoint that is reached and never answers.
func hung(t *testing.T) (url string, reached <-chan struct{}) {
	t.Helper()
	came, ended := make(chan struct{}), make(chan struct{})
	var once sync.Once
	url = serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		once.Do(func() { close(came) })
		<-ended
	}))
	t.Cleanup(func() { close(ended) }) // before the server is closed, which waits
	return url, came
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// params is a section with the set inline, to which more is added.
func params(url, more string) string {
	return "url: " + url + "/ask\n" + more + "\nquestions:" + set
}

// kept is a memory in memory.
type kept struct {
	data []byte
	err  error
}

func (k *kept) Load(context.Context) ([]byte, error) { return k.data, k.err }

func (k *kept) Save(_ context.Context, data []byte) error {
	k.data = data
	return k.err
}

func build(t *testing.T, with string, memory checks.Memory) checks.Check {
	t.Helper()
	check, err := golden.Kind().New(checktest.Decoder(with, key), checks.Env{Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	return check
}

// run runs a check once and holds what every result obeys.
func run(t *testing.T, check checks.Check) checks.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := check.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := checktest.Valid(r); err != nil {
		t.Error(err)
	}
	all := fmt.Sprintf("%+v", r)
	if form := checktest.Leak(all, key); form != "" {
		t.Errorf("the result holds the key (%s): %s", form, all)
	}
	for _, private := range []string{"Mustermann", "30 Tage", "return a product", "head of sales"} {
		if strings.Contains(all, private) {
			t.Errorf("the result holds %q of a question or an answer: %s", private, all)
		}
	}
	return r
}

func measured(r checks.Result, name string) float64 {
	for _, m := range r.Measurements {
		if m.Name == name {
			return m.Value
		}
	}
	return -1
}

// rewrite changes a file, its time included, which may be coarse.
func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Duration(len(text)) * time.Second)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
}
