package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// application is a small one for the scripts, on the second port: a health route, a chat route behind a token, and routes
// that go wrong. It serves until it is ended.
func application() {
	mux := http.NewServeMux()
	say := func(path string, status int, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
	say("GET /health", http.StatusOK, `{"services":{"mistral":{"status":"healthy","provider":"mistral","latencyMs":12,"model":"mistral-small-latest","error":null}}}`)
	say("GET /up", http.StatusOK, `{"status":"UP"}`)
	say("GET /page", http.StatusOK, `<html>welcome</html>`)
	say("GET /leak", http.StatusServiceUnavailable, `{"status":"unhealthy","error":"401 for sk-live-0123456789abcdef\n    at ask (/srv/shop/llm.js:10:5)"}`)
	mux.Handle("GET /private", http.RedirectHandler("/login", http.StatusFound))
	mux.HandleFunc("POST /chat", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+os.Getenv("APP_TOKEN") { //nolint:forbidigo // a program of its own
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"reply":"pong"}`)
	})
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT2"), Handler: mux, ReadHeaderTimeout: time.Minute} //nolint:forbidigo // as above
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		os.Exit(1) //nolint:forbidigo // as above
	}
}
