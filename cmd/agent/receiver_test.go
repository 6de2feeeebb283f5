package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// receiver takes what the webhook exporter sends, as its page tells a receiver to: a message that comes again has the key
// of the first, and is not taken twice.
type receiver struct {
	mu   sync.Mutex // guards the rest
	seen map[string]bool
	to   *os.File
}

// receive PORT FILE listens on loopback until the script ends, and writes a line to the file for each alert in each
// message: what kind of message, the rule, the severity.
func receive(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: receive PORT FILE")
	}
	file, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:"+args[0])
	ts.Check(err)
	server := &http.Server{Handler: &receiver{seen: map[string]bool{}, to: file}, ReadHeaderTimeout: patience}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	ts.Defer(func() {
		_ = server.Close()
		<-done
		_ = file.Close()
	})
}

// ServeHTTP reads Alertmanager's webhook JSON.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var body struct {
		Alerts []struct {
			Labels map[string]string `json:"labels"`
		} `json:"alerts"`
	}
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := req.Header.Get("Idempotency-Key")
	if key == "" || r.seen[key] {
		return
	}
	r.seen[key] = true
	for _, a := range body.Alerts {
		_, _ = fmt.Fprintln(r.to, req.Header.Get("X-Windsock-Kind"), a.Labels["alertname"], a.Labels["severity"])
	}
}
