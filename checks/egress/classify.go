package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// problem is why a step went no further.
type problem struct {
	status checks.Status
	cause  checks.Cause
	blame  checks.Blame
	text   string // what happened, in our words: error texts may hold a server's
}

func failed(cause checks.Cause, text string) *problem {
	return &problem{status: checks.Failed, cause: cause, text: text}
}

func unknown(cause checks.Cause, text string) *problem {
	return &problem{status: checks.Unknown, cause: cause, text: text}
}

// ours finds the faults that are not the target's: our guard, our descriptors, our shutdown. nil where it is none of them.
func ours(ctx context.Context, err error) *problem {
	failure, isFailure := errors.AsType[*outbound.Failure](err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return unknown(checks.CauseInternal, "the run was cut short")
	case isFailure && failure.Reason == reasonGuard:
		return unknown(checks.CauseConfig, "refused by the agent's own address guard")
	case isFailure && failure.Reason == reasonNoDescriptors, errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), strings.Contains(err.Error(), syscall.EMFILE.Error()):
		return unknown(checks.CauseInternal, "the agent has no file descriptors left") // a lookup hides the errno in its text
	case errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.ENOBUFS):
		return unknown(checks.CauseInternal, "this host has no memory left")
	}
	return nil
}

// How internal/outbound names a refusal by its address guard, a process without descriptors, and a refusal by this host.
const (
	reasonGuard         = "guard"
	reasonNoDescriptors = "no_descriptors"
	reasonDenied        = "denied"
)

func forbiddenByHost(err error) bool {
	failure, ok := errors.AsType[*outbound.Failure](err)
	return (ok && failure.Reason == reasonDenied) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES)
}

func timedOut(ctx context.Context, err error) bool {
	var timeout net.Error
	return ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, syscall.ETIMEDOUT) || (errors.As(err, &timeout) && timeout.Timeout())
}

// ofConnect classifies a failed dial.
func ofConnect(ctx context.Context, err error) *problem {
	if p := ours(ctx, err); p != nil {
		return p
	}
	switch {
	case forbiddenByHost(err):
		p := failed(checks.CauseConnect, "not permitted by this host's firewall or sandbox")
		p.blame = checks.BlameLocal
		return p
	case errors.Is(err, syscall.ECONNREFUSED):
		return failed(checks.CauseConnect, "connection refused")
	case errors.Is(err, syscall.ECONNRESET):
		return failed(checks.CauseConnect, "connection reset")
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return failed(checks.CauseConnect, "no route")
	case timedOut(ctx, err):
		return failed(checks.CauseTimeoutConnect, "no connection in time")
	}
	return failed(checks.CauseConnect, "connect failed")
}

// ofTLS classifies a failed handshake. name is what the certificate should have said.
func ofTLS(ctx context.Context, err error, name string) *problem {
	if p := ours(ctx, err); p != nil {
		return p
	}
	var (
		unverified *tls.CertificateVerificationError
		record     tls.RecordHeaderError
		alert      tls.AlertError
	)
	switch {
	case errors.As(err, &unverified):
		return failed(checks.CauseTLS, ofCertificate(err, name))
	case errors.As(err, &record):
		return failed(checks.CauseTLS, "the other side does not speak TLS")
	case errors.As(err, &alert):
		return failed(checks.CauseTLS, "handshake refused")
	case timedOut(ctx, err):
		return failed(checks.CauseTimeoutConnect, "no TLS handshake in time")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return failed(checks.CauseTLS, "connection closed during the handshake")
	}
	return failed(checks.CauseTLS, "handshake failed")
}

func ofCertificate(err error, name string) string {
	var (
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
		ca      x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &host):
		return "the certificate is not for " + name
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "a certificate of the chain is expired or not yet valid"
	case errors.As(err, &ca):
		return "the certificate is signed by an unknown authority"
	}
	return "the certificate chain does not verify"
}

// ofHTTP classifies a request that had no answer.
func ofHTTP(ctx context.Context, err error) *problem {
	if p := ours(ctx, err); p != nil {
		return p
	}
	switch {
	case timedOut(ctx, err):
		return failed(checks.CauseTimeout, "no HTTP answer in time")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return failed(checks.CauseConnect, "connection closed before the HTTP answer")
	}
	return failed(checks.CauseMalformed, "the answer is not HTTP")
}
