package outbound

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http2"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/clock"
)

// errTooLarge is an answer beyond its bound.
var errTooLarge = errors.New("the answer is larger than its bound")

// place is where in an exchange an error happened.
type place struct {
	stage   string
	host    string
	proxied bool
}

// verdict is a cause and its detail.
type verdict struct {
	cause  checks.Cause
	reason string
}

// explain turns an error into the one Failure that the stage and the error tell. The stage counts first: a deadline
// that passes during a lookup arrives as a bare context error.
func explain(ctx context.Context, err error, at place) *Failure {
	v, known := common(err, at)
	if !known {
		at.stage = decisive(err, at.stage)
		v = byStage(err, at.stage)
		if at.proxied && v.cause != checks.CauseConfig && (at.stage == stageDNS || at.stage == stageConnect || at.stage == stageProxy) {
			v.cause, at.stage = checks.CauseProxy, stageProxy
		}
	}
	f := &Failure{Cause: v.cause, Stage: at.stage, Reason: v.reason}
	f.Deadline = timedOut(err) && past(ctx)
	text := at.stage + " " + at.host + ": " + plain(err)
	f.Err = &cleanError{text: Sanitize(redact(text), maxErrorText), cause: err}
	return f
}

// past reports whether the deadline of ctx is over. Sockets keep the same time and may wake up before ctx does.
func past(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

// plain is the error's own text, with Go's words for a deadline made plainer and without the server's words in a GOAWAY.
func plain(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "the deadline passed"
	}
	text, _, _ := strings.Cut(err.Error(), ", debug=")
	return text
}

// common finds the verdicts that do not depend on the stage.
func common(err error, at place) (verdict, bool) {
	text := err.Error()
	switch {
	case errors.Is(err, errGuarded):
		return verdict{checks.CauseConfig, "guard"}, true
	case outOfDescriptors(err, at.stage):
		return verdict{checks.CauseInternal, "no_descriptors"}, true
	case errors.Is(err, context.Canceled):
		return verdict{checks.CauseInternal, "cancelled"}, true
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EAFNOSUPPORT):
		return verdict{checks.CauseConfig, "denied"}, true // a local firewall or the sandbox, before anything was sent
	case errors.Is(err, errTooLarge):
		return verdict{checks.CauseResponseTooLarge, "body"}, true
	case strings.Contains(text, "server response headers exceeded"), strings.Contains(text, "response header list larger"):
		return verdict{checks.CauseResponseTooLarge, "headers"}, true
	}
	if refusal, ok := errors.AsType[*proxyError](err); ok {
		return verdict{checks.CauseProxy, refusal.reason()}, true
	}
	return verdict{}, false
}

// outOfDescriptors reports whether the process had no file descriptor left. A lookup hides the errno in its text, and a
// resolver that could not open its configuration looks like any other failure of DNS: so the descriptors are tried.
func outOfDescriptors(err error, stage string) bool {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return true
	}
	if stage != stageDNS {
		return false
	}
	if strings.Contains(err.Error(), syscall.EMFILE.Error()) || strings.Contains(err.Error(), syscall.ENFILE.Error()) {
		return true
	}
	probe, err := os.Open(os.DevNull)
	if err != nil {
		return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
	}
	_ = probe.Close()
	return false
}

func byStage(err error, stage string) verdict {
	switch stage {
	case stageDNS:
		return explainDNS(err)
	case stageConnect, stageProxy:
		return explainConnect(err)
	case stageTLS:
		reason := tlsReason(err)
		if reason == "not_yet_valid" && clock.Wrong(time.Now()) {
			return verdict{checks.CauseConfig, "clock"} // ours: the certificate may be good
		}
		return verdict{checks.CauseTLS, reason}
	}
	return explainAnswer(err, stage)
}

func explainDNS(err error) verdict {
	reason := "failed"
	lookup, ok := errors.AsType[*net.DNSError](err)
	switch {
	case ok && strings.Contains(lookup.Err, syscall.EPERM.Error()): // a lookup hides the errno in its text
		return verdict{checks.CauseConfig, "denied"}
	case ok && lookup.IsNotFound: // no such name, or a name without addresses
		reason = "nxdomain"
	case timedOut(err):
		reason = "timeout"
	case ok && strings.Contains(lookup.Err, "server misbehaving"):
		reason = "servfail"
	}
	return verdict{checks.CauseDNS, reason}
}

func explainConnect(err error) verdict {
	if reason := lowReason(err); reason != "" {
		return verdict{checks.CauseConnect, reason}
	}
	if errors.Is(err, syscall.ETIMEDOUT) || timedOut(err) {
		return verdict{checks.CauseTimeoutConnect, "timeout"}
	}
	return verdict{checks.CauseConnect, "failed"}
}

// lowReason names the errors of sockets, "" for all others.
func lowReason(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		return "reset"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL),
		errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.EHOSTDOWN):
		return "unreachable"
	}
	if _, ok := errors.AsType[http2.StreamError](err); ok || strings.Contains(err.Error(), "REFUSED_STREAM") {
		return "reset"
	}
	if errors.Is(err, errRepeated) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "server closed idle connection") ||
		strings.Contains(err.Error(), "GOAWAY") || strings.Contains(err.Error(), "client connection lost") {
		return "closed"
	}
	return ""
}

// tlsReason names why a handshake failed.
func tlsReason(err error) string {
	if reason := certificateReason(err); reason != "" {
		return reason
	}
	if record, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		if strings.HasPrefix(string(record.RecordHeader[:]), "HTTP/") {
			return "plain_http"
		}
		return "not_tls"
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return "plain_http"
	}
	if timedOut(err) {
		return "timeout"
	}
	if lowReason(err) != "" {
		return lowReason(err)
	}
	if alerted(err) {
		return "alert"
	}
	return "handshake"
}

// certificateReason names why a certificate was refused, "" where it was not the certificate.
func certificateReason(err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch {
		case invalid.Reason == x509.Expired && invalid.Cert != nil && time.Now().Before(invalid.Cert.NotBefore):
			return "not_yet_valid"
		case invalid.Reason == x509.Expired:
			return "expired"
		}
		return "bad_certificate"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "wrong_host"
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if unknown.Cert != nil && weak(unknown.Cert.SignatureAlgorithm) { // whoever signed it, it is not believed
			return "weak_signature"
		}
		return "unknown_ca"
	}
	if _, ok := errors.AsType[x509.SystemRootsError](err); ok {
		return "no_roots"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "bad_certificate"
	}
	return ""
}

// decisive is the stage that an error belongs to. TLS 1.3 tells a client of a refused handshake with its first read, which
// comes while the request is still being sent, or after it: either way the handshake was refused.
func decisive(err error, stage string) string {
	if (stage == stageSend || stage == stageHeaders) && alerted(err) {
		return stageTLS
	}
	return stage
}

// alerted reports whether one of the two sides ended the connection with a TLS alert.
func alerted(err error) bool {
	alert, ok := errors.AsType[*net.OpError](err)
	return ok && (alert.Op == "remote error" || alert.Op == "local error")
}

// weak reports whether anybody can forge signatures of an algorithm.
func weak(algorithm x509.SignatureAlgorithm) bool {
	return slices.Contains([]x509.SignatureAlgorithm{
		x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
	}, algorithm)
}

// explainAnswer is for errors after the connection stands.
func explainAnswer(err error, stage string) verdict {
	if alerted(err) {
		return verdict{checks.CauseTLS, "alert"}
	}
	if timedOut(err) {
		return verdict{checks.CauseTimeout, stage}
	}
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	switch {
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), corrupt:
		return verdict{checks.CauseMalformed, "gzip"}
	case stage == stageBody && errors.Is(err, io.ErrUnexpectedEOF):
		return verdict{checks.CauseMalformed, "truncated"}
	case errors.Is(err, bufio.ErrTooLong):
		return verdict{checks.CauseResponseTooLarge, "line"}
	}
	if reason := lowReason(err); reason != "" {
		return verdict{checks.CauseConnect, reason}
	}
	return verdict{checks.CauseMalformed, "protocol"}
}

// timedOut reports whether an error is a time that passed, whoever set it.
func timedOut(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}
