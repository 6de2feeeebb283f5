// Package promqltest is Prometheus for tests: a real server, where the program is installed, and what one answered, where
// it is not. It belongs to tests only.
package promqltest

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// Recording is what a real server answered.
type Recording struct {
	Source    string     `json:"source"` // its version
	Date      string     `json:"date"`
	Now       int64      `json:"now,omitempty"` // the Unix time of the questions, where they tell one
	Exchanges []Exchange `json:"exchanges"`
}

// Exchange is one question and its answer.
type Exchange struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Time   string `json:"time,omitempty"`
	Query  string `json:"query"` // of a long one the beginning and a digest
	Status int    `json:"status"`
	Body   string `json:"body"`
}

// Load reads a recording.
func Load(tb testing.TB, file string) *Recording {
	tb.Helper()
	text, err := os.ReadFile(file) //nolint:gosec // a file of the test
	if err != nil {
		tb.Fatal(err)
	}
	r := &Recording{}
	if err := json.Unmarshal(text, r); err != nil {
		tb.Fatal(err)
	}
	return r
}

// ServeHTTP answers as the server did.
func (r *Recording) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	for _, e := range r.Exchanges {
		if e.Method == req.Method && e.Path == req.URL.Path && e.Query == short(req.FormValue("query")) && e.Time == req.FormValue("time") {
			w.WriteHeader(e.Status)
			_, _ = w.Write([]byte(e.Body))
			return
		}
	}
	http.Error(w, "not recorded", http.StatusTeapot)
}

// short is what a recording has of a query.
func short(query string) string {
	const most = 3000
	if len(query) <= most {
		return query
	}
	return fmt.Sprintf("%.200s… %x", query, sha256.Sum256([]byte(query)))
}

// Record asks a server through a witness at the URL that questions is given, and writes what it saw to a file.
func Record(tb testing.TB, server *Server, file string, now int64, questions func(url string)) {
	tb.Helper()
	var mu sync.Mutex // guards r
	r := Recording{Source: server.Version, Date: time.Now().UTC().Format(time.DateOnly), Now: now}
	witness := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		status, answer := server.Ask(req.Context(), tb, req.Method, req.URL.RequestURI(), string(body))
		form, _ := url.ParseQuery(req.URL.RawQuery + string(body))
		mu.Lock()
		defer mu.Unlock()
		r.Exchanges = append(r.Exchanges, Exchange{req.Method, req.URL.Path, form.Get("time"), short(form.Get("query")), status, answer})
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer) //nolint:gosec // nobody reads it in a browser
	}))
	defer witness.Close()
	questions(witness.URL)
	mu.Lock()
	defer mu.Unlock()
	order := func(a, b Exchange) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Query, b.Query), cmp.Compare(a.Time, b.Time))
	}
	slices.SortFunc(r.Exchanges, order)
	r.Exchanges = slices.CompactFunc(r.Exchanges, func(a, b Exchange) bool { return order(a, b) == 0 })
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
		tb.Fatal(err)
	}
}
