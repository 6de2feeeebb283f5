//go:build faults

package faults_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agenttest"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// TestFault20ARenegotiationIsRefused: OpenSSL's server asks for a new handshake where the answer should be. Go's own server
// cannot do that.
func TestFault20ARenegotiationIsRefused(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatalf("needs openssl: %v", err)
	}
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	do(t, openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
		"-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert)
	address := agenttest.FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	server := exec.CommandContext(t.Context(), openssl, "s_server", "-accept", port, "-cert", cert, "-key", key, "-tls1_2")
	typed, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	go renegotiate(said, typed)

	n, err := outbound.New(outbound.Options{CAFile: cert})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var failure *outbound.Failure
	for { // until the server listens
		_, err := n.Open(ctx, outbound.Request{Method: http.MethodGet, URL: "https://" + address + "/"})
		if !errors.As(err, &failure) {
			t.Fatalf("got %v, want a failure", err)
		}
		if failure.Cause != checks.CauseConnect || ctx.Err() != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if failure.Cause != checks.CauseTLS || failure.Reason != "alert" {
		t.Errorf("got %s %s: %v, want tls alert", failure.Cause, failure.Reason, failure)
	}
}

// renegotiate waits for the request and then types what makes OpenSSL's server ask for a new handshake.
func renegotiate(said io.Reader, typed io.Writer) {
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "GET ") {
			_, _ = io.WriteString(typed, "R\n")
		}
	}
}
