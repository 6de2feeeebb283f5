package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// captured is a request as it came over the wire, so that the floor can send the same bytes.
type captured struct {
	Method, Path string
	Header       http.Header
	Body         []byte
}

// target answers every request with the same bytes, as cheaply as it can, on a connection for each.
type target struct {
	delay  time.Duration
	served atomic.Int64

	mu    sync.Mutex // guards first
	first *captured
}

const answerHead = "HTTP/1.1 200 OK\r\n" +
	"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: windsock-benchmark\r\n" +
	"Mistral-Correlation-Id: 019a0c5e-7c2d-7f00-9f0a-8d8f5f7a0001\r\nX-Kong-Request-Id: 019a0c5e-7c2d-7f00-9f0a-8d8f5f7a0001\r\n" +
	"X-Ratelimit-Limit-Req-Minute: 360\r\nX-Ratelimit-Remaining-Req-Minute: 359\r\n" +
	"X-Ratelimit-Limit-Tokens-Minute: 500000\r\nX-Ratelimit-Remaining-Tokens-Minute: 499000\r\n" +
	"X-Envoy-Upstream-Service-Time: 12\r\n"

const chatAnswer = `{"id":"b5a1f0c4d2e84f0f9e0f5a3f6a1c0001","object":"chat.completion","created":1767225600,` +
	`"model":"mistral-small-latest","choices":[{"index":0,"message":{"role":"assistant","tool_calls":null,"content":"pong"},` +
	`"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"total_tokens":14,"completion_tokens":2}}`

// wire is a whole answer.
func wire(contentType, body string) []byte {
	return fmt.Appendf(nil, "%sContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		answerHead, contentType, len(body), body)
}

func streamAnswer() string {
	var b strings.Builder
	for _, part := range []string{
		`{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}`,
		`{"index":0,"delta":{"content":"pong"},"finish_reason":null}`,
	} {
		fmt.Fprintf(&b, "data: {\"id\":\"b5a1f0c4\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,"+
			"\"model\":\"mistral-small-latest\",\"choices\":[%s]}\n\n", part)
	}
	b.WriteString("data: {\"id\":\"b5a1f0c4\",\"object\":\"chat.completion.chunk\",\"created\":1767225600," +
		"\"model\":\"mistral-small-latest\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"stop\"}]," +
		"\"usage\":{\"prompt_tokens\":12,\"total_tokens\":14,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n")
	return b.String()
}

func modelsAnswer() string {
	cards := make([]string, 40)
	for i := range cards {
		id := fmt.Sprintf("model-%d", i)
		if i == 0 {
			id = "mistral-small-latest"
		}
		cards[i] = fmt.Sprintf(`{"id":%q,"object":"model","created":1767225600,"owned_by":"mistralai","capabilities":`+
			`{"completion_chat":true,"completion_fim":false,"function_calling":true,"fine_tuning":false,"vision":false,`+
			`"classification":false},"name":%q,"description":"a model","max_context_length":131072,"aliases":[],`+
			`"deprecation":null,"default_model_temperature":0.3,"type":"base"}`, id, id)
	}
	return `{"object":"list","data":[` + strings.Join(cards, ",") + `]}`
}

func runTarget(ctx context.Context, o order, out io.Writer) error {
	t := &target{delay: o.Delay}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	h := hello{Address: "http://" + listener.Addr().String()}
	if o.TLS {
		cert, file, err := certificate()
		if err != nil {
			return err
		}
		defer func() { _ = os.Remove(file) }()
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
		h.Address, h.CAFile = "https://"+listener.Addr().String(), file
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/served", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(t.served.Load()) })
	mux.HandleFunc("/captured", func(w http.ResponseWriter, _ *http.Request) {
		t.mu.Lock()
		defer t.mu.Unlock()
		_ = json.NewEncoder(w).Encode(t.first)
	})
	stop, err := servePages(ctx, mux, &h)
	if err != nil {
		return err
	}
	defer stop()
	if err := say(out, h); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	return t.serve(listener)
}

// servePages serves a process's numbers beside its work.
func servePages(ctx context.Context, mux *http.ServeMux, h *hello) (stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	h.Pages = "http://" + listener.Addr().String()
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return func() { _ = server.Close() }, nil
}

func (t *target) serve(listener net.Listener) error {
	answers := map[string][]byte{
		"chat": wire("application/json", chatAnswer), "stream": wire("text/event-stream", streamAnswer()),
		"models": wire("application/json", modelsAnswer()),
	}
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting: %w", err)
		}
		go t.answer(conn, answers)
	}
}

// answer reads one request and answers it. The peer closes first, or is closed after a while.
func (t *target) answer(conn net.Conn, answers map[string][]byte) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	reader := bufio.NewReaderSize(conn, 4096)
	req, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	if err != nil {
		return
	}
	t.capture(req, body)
	if t.delay > 0 {
		time.Sleep(t.delay)
	}
	kind := "chat"
	switch {
	case strings.HasSuffix(req.URL.Path, "/models"):
		kind = "models"
	case bytes.Contains(body, []byte(`"stream":true`)):
		kind = "stream"
	}
	t.served.Add(1)
	_, _ = conn.Write(answers[kind])
}

func (t *target) capture(req *http.Request, body []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == nil {
		t.first = &captured{Method: req.Method, Path: req.URL.RequestURI(), Header: req.Header, Body: body}
	}
}

// certificate makes a certificate for loopback and puts it into a file of its own.
func certificate() (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "windsock benchmark"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("making a certificate: %w", err)
	}
	file, err := os.CreateTemp("", "windsock-benchmark-*.pem")
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("keeping the certificate: %w", err)
	}
	err = errors.Join(pem.Encode(file, &pem.Block{Type: "CERTIFICATE", Bytes: der}), file.Close())
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file.Name(), err
}
