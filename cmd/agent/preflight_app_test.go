package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// staging is an application for the scripts that asks a provider, as well or as badly as $STAGING_MODE says:
//
//	good      a second key, two retries with a pause, Retry-After, a timeout, an answer of its own
//	strict    as good, but errors are told its users as such
//	storm     asks again at once, for ever
//	impatient asks again after a pause of its own, whatever Retry-After says, and hurries
//	stubborn  asks again with a key that was refused, and waits for ever
//	leaky     shows its errors to its users, with the key
//	polite    shows its errors, with the key, as an answer with status 200
//	excuse    says with status 200 that there is an error
//	crash     ends the connection
//	endless   answers without an end
//
// $STAGING_LOG is a file that it writes a line to for each request; with $STAGING_CHATTY what it was sent, too.
func staging() {
	env := os.Getenv //nolint:forbidigo // a program of its own
	a := &stagingApp{
		mode: env("STAGING_MODE"), base: env("MISTRAL_BASE_URL"), keys: []string{env("MISTRAL_API_KEY"), env("MISTRAL_FALLBACK_API_KEY")},
		log: env("STAGING_LOG"), chatty: env("STAGING_CHATTY"),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		a.note(r, nil)
		status, code := "healthy", http.StatusOK
		if word := env("STAGING_HEALTH"); word != "" {
			status = word
		}
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, `{"services":{"mistral":{"status":%q,"provider":"mistral","latencyMs":12,"model":"mistral-small-2603","error":null}}}`, status)
	})
	mux.HandleFunc("POST /api/chat", a.chat)
	server := &http.Server{Addr: "127.0.0.1:" + env("STAGING_PORT"), Handler: mux, ReadHeaderTimeout: time.Minute}
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		os.Exit(1) //nolint:forbidigo // as above
	}
}

type stagingApp struct {
	mode, base, log, chatty string
	keys                    []string
}

func (a *stagingApp) note(r *http.Request, body []byte) {
	if a.log == "" {
		return
	}
	f, err := os.OpenFile(a.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	line := fmt.Sprintf("%s %s %s", time.Now().UTC().Format(time.RFC3339), r.Method, r.URL.Path)
	switch a.chatty {
	case "phrase":
		line += " " + string(body)
	case "key":
		line += fmt.Sprintf(" %v", r.Header)
	}
	_, _ = fmt.Fprintln(f, line)
}

func (a *stagingApp) chat(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	a.note(r, body)
	if a.base == "" { // nobody is asked
		_, _ = io.WriteString(w, `{"reply":"pong"}`)
		return
	}
	status, err := a.answer(r.Context())
	switch {
	case err == nil:
		_, _ = io.WriteString(w, `{"reply":"pong"}`)
	case a.mode == "good":
		_, _ = io.WriteString(w, `{"reply":"I cannot answer now, please come back in a minute.","fallback":true}`)
	case a.mode == "leaky":
		w.WriteHeader(http.StatusBadGateway)
		_, _ = fmt.Fprintf(w, `{"error":"%d from %s with Bearer %s"}`, status, a.base, a.keys[0])
	case a.mode == "polite":
		_, _ = fmt.Fprintf(w, `{"reply":"Sorry: %d with Bearer %s"}`, status, a.keys[0])
	case a.mode == "excuse":
		_, _ = io.WriteString(w, `{"error":"unavailable"}`)
	case a.mode == "crash":
		panic(http.ErrAbortHandler)
	case a.mode == "endless":
		for {
			if _, err := w.Write(bytes.Repeat([]byte("x"), 64<<10)); err != nil {
				return
			}
		}
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"error":"unavailable","request_id":"r-1"}`)
	}
}

// answer asks the provider as the mode says.
func (a *stagingApp) answer(ctx context.Context) (status int, err error) {
	key, most, patience, pause := a.keys[0], 3, 500*time.Millisecond, 120*time.Millisecond
	switch a.mode {
	case "good": // a busy machine is no reason to give up
		patience = 2 * time.Second
	case "storm":
		most, pause = 1<<20, 0
	case "stubborn":
		most, patience, pause = 4, time.Hour, 20*time.Millisecond
	case "crash", "endless", "leaky", "polite", "excuse":
		most, patience = 2, 200*time.Millisecond
	case "impatient":
		pause, patience = 5*time.Millisecond, 250*time.Millisecond
	}
	for try := range most {
		var after time.Duration
		status, after, err = a.once(ctx, key, patience)
		switch {
		case err == nil, ctx.Err() != nil, a.mode == "good" && errors.Is(err, context.DeadlineExceeded):
			return status, err
		case status == http.StatusUnauthorized && a.mode != "stubborn" && a.mode != "storm":
			if key == a.keys[1] || a.mode != "good" && a.mode != "strict" {
				return status, err
			}
			key = a.keys[1]
			continue
		case after > 0 && (a.mode == "good" || a.mode == "strict"):
			if try > 0 {
				return status, err
			}
			time.Sleep(after)
		default:
			time.Sleep(pause << min(try, 4))
		}
	}
	return status, err
}

func (a *stagingApp) once(ctx context.Context, key string, patience time.Duration) (status int, after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, _ := json.Marshal(map[string]any{
		"model": "mistral-small-2603", "max_tokens": 16, "messages": []map[string]string{{"role": "user", "content": "pong?"}},
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return resp.StatusCode, time.Duration(seconds) * time.Second, fmt.Errorf("status %d", resp.StatusCode)
	}
	return http.StatusOK, 0, nil
}
