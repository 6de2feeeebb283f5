package preflight

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/internal/secret"
)

// asked is one request of an application for an answer, as the simulator saw it. What only lists models is none.
type asked struct {
	at, done time.Time // done is zero while it is being answered
	key      int       // the order in which its key was first seen; -1: it carried none
	status   int
	path     string
}

// recorder stands before a simulator and notes when it was asked for what. It is safe for concurrent use.
type recorder struct {
	next     http.Handler
	scrubber *secret.Scrubber // learns every key

	mu   sync.Mutex // guards the rest
	all  []asked
	keys []string
}

// ServeHTTP implements http.Handler.
func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		rec.next.ServeHTTP(w, r)
		return
	}
	rec.mu.Lock()
	at := len(rec.all)
	rec.all = append(rec.all, asked{at: time.Now(), key: rec.index(r.Header.Get("Authorization")), path: r.URL.Path})
	rec.mu.Unlock()
	noted := &noting{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.all[at].done, rec.all[at].status = time.Now(), noted.status
	}()
	rec.next.ServeHTTP(noted, r)
}

// index numbers the keys. The caller holds the lock.
func (rec *recorder) index(authorization string) int {
	_, key, _ := strings.Cut(authorization, " ")
	if key == "" {
		return -1
	}
	if i := slices.Index(rec.keys, key); i >= 0 {
		return i
	}
	rec.scrubber.Add(key)
	rec.keys = append(rec.keys, key)
	return len(rec.keys) - 1
}

// since are the requests after the first n.
func (rec *recorder) since(n int) []asked {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return slices.Clone(rec.all[n:])
}

// count is how many requests came so far.
func (rec *recorder) count() int {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return len(rec.all)
}

// key is the key that was seen first; "" where none was.
func (rec *recorder) key() string {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(rec.keys) == 0 {
		return ""
	}
	return rec.keys[0]
}

// shown reports whether a text holds one of the keys.
func (rec *recorder) shown(text string) bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	known := secret.NewScrubber()
	for _, key := range rec.keys {
		known.Add(key)
	}
	return known.String(text) != text
}

// noting notes the status of an answer.
type noting struct {
	http.ResponseWriter

	status int
}

func (n *noting) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController: streams are flushed, connections reset.
func (n *noting) Unwrap() http.ResponseWriter { return n.ResponseWriter }
