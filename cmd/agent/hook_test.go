package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// hooked takes what the webhook exporter sends, as its page tells a receiver to: a message that comes again has the key
// of the first, and is not taken twice.
type hooked struct {
	mu   sync.Mutex // guards the rest
	seen map[string]bool
	to   *os.File
}

// hook PORT FILE listens on loopback until the script ends, and writes a line to the file for each alert in each
// message: what kind of message, the rule, the severity, and who commands its incident.
func hook(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: hook PORT FILE")
	}
	file, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Defer(func() { _ = file.Close() })
	listenOn(ts, args[0], &hooked{seen: map[string]bool{}, to: file})
}

// ServeHTTP reads Alertmanager's webhook JSON.
func (h *hooked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Alerts []struct {
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"alerts"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	key := r.Header.Get("Idempotency-Key")
	if key == "" || h.seen[key] {
		return
	}
	h.seen[key] = true
	for _, a := range body.Alerts {
		line := strings.Join([]string{r.Header.Get("X-Windsock-Kind"), a.Labels["alertname"], a.Labels["severity"], a.Annotations["commander"]}, " ")
		_, _ = fmt.Fprintln(h.to, strings.TrimSpace(line))
	}
}
