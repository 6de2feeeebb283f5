package otel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	collogspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/windsock-monitor/windsock/exporters"
)

// partial is what a backend said about an accepted request.
type partial struct {
	rejected int64 // points, events or spans that it did not take
	message  string
}

// exchange is what the last request came to, as seen on the wire. The OTLP exporters say it in prose only.
type exchange struct {
	headers  map[string]string // to be sent
	tried    bool              // a request left the exporter's code
	status   int               // of HTTP
	after    time.Duration     // Retry-After
	body     string            // the start of an error's body
	fault    error             // of the transport, or gRPC's status
	size     int               // of the gRPC message, where it was not taken
	partial  partial
	answered bool // the backend said that it took the request
}

// sender is an OTLP exporter's one method.
type sender[T any] func(ctx context.Context, data T) error

// line is the way of one signal to its backend. It opens at the first use and, for gRPC, anew after each failure: a
// gRPC connection that failed answers from its memory for a while, and each attempt of ours is to be a real one.
type line[T any] struct {
	target target
	dial   func(t *target, last *exchange) (sender[T], func() error, error)
	last   *exchange
	do     sender[T]
	hangUp func() error
}

// send makes one attempt. Its error is of exporters.Retry, Hold, Split or Poison.
func (l *line[T]) send(ctx context.Context, data T) (partial, error) {
	headers, err := l.target.headers(ctx)
	if err != nil {
		return partial{}, exporters.Hold(err)
	}
	if l.do == nil {
		l.last = new(exchange)
		if l.do, l.hangUp, err = l.dial(&l.target, l.last); err != nil {
			return partial{}, exporters.Hold(fmt.Errorf("%s: %w", l.target.description, err))
		}
	}
	*l.last = exchange{headers: headers}
	ctx, cancel := context.WithTimeout(ctx, l.target.timeout)
	defer cancel()
	err = l.judge(ctx, l.do(ctx, data))
	if err != nil && l.target.grpc {
		_ = l.close()
	}
	return l.last.partial, err
}

// judge turns what was seen into the contract's words.
func (l *line[T]) judge(ctx context.Context, said error) error {
	x := l.last
	switch {
	case x.answered:
		return l.judgeAnswer(said)
	case !x.tried && ctx.Err() != nil:
		return exporters.Retry(fmt.Errorf("%s: %w", l.target.description, ctx.Err()), 0)
	case !x.tried && said != nil:
		// The data did not survive the exporter's own encoding. Halves of it may.
		return exporters.Poison(fmt.Errorf("%s: encoding: %w", l.target.description, said))
	case l.target.grpc:
		return l.renewed(ctx, l.judgeGRPC())
	case x.status != 0:
		return l.renewed(ctx, l.judgeHTTP())
	case x.fault != nil:
		return exporters.Retry(fmt.Errorf("%s: %w", l.target.description, x.fault), 0)
	case said != nil:
		return exporters.Retry(fmt.Errorf("%s: %w", l.target.description, said), 0)
	}
	return nil
}

// judgeAnswer is for requests that the backend took. A partial success is delivered: it must not be sent again.
func (l *line[T]) judgeAnswer(said error) error {
	l.last.partial.message = l.clean(l.last.partial.message)
	if said != nil && l.last.partial == (partial{}) {
		return exporters.Poison(fmt.Errorf("%s: encoding: %w", l.target.description, said))
	}
	return nil
}

func (l *line[T]) judgeHTTP() error {
	doing := l.target.description
	if text := l.clean(l.last.body); text != "" {
		doing += ": " + text
	}
	err := exporters.OfHTTPStatus(l.last.status, l.last.after, doing)
	if l.last.status == http.StatusNotFound {
		return exporters.Hold(fmt.Errorf("%w%s", err, l.hint()))
	}
	return err
}

func (l *line[T]) judgeGRPC() error {
	s := status.Convert(l.last.fault)
	err := fmt.Errorf("%s: %s: %s", l.target.description, s.Code(), l.clean(s.Message()))
	after, wished := retryInfo(s)
	switch s.Code() {
	case codes.OK:
		return nil
	case codes.Unauthenticated, codes.PermissionDenied:
		return exporters.Hold(err)
	case codes.Unimplemented, codes.NotFound:
		return exporters.Hold(fmt.Errorf("%w%s", err, l.hint()))
	case codes.ResourceExhausted:
		if !wished && tooLarge(l.last.size, s.Message()) {
			return exporters.Split(err)
		}
		return exporters.Retry(err, after)
	case codes.InvalidArgument, codes.AlreadyExists, codes.FailedPrecondition:
		return exporters.Poison(err)
	case codes.Canceled, codes.Unknown, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Internal,
		codes.Unavailable, codes.DataLoss:
	}
	return exporters.Retry(err, after)
}

// hint is what an operator can do about a backend that does not know the signal.
func (l *line[T]) hint() string {
	switch l.target.signal {
	case signalMetrics:
		return ""
	case signalLogs:
		return "; hint: a backend without logs wants `events: none`"
	case signalTraces:
		return "; hint: a backend without traces wants `traces: false`"
	}
	return ""
}

// renewed reads the secrets again where the backend refused them. A value that changed is worth another attempt at once.
func (l *line[T]) renewed(ctx context.Context, err error) error {
	refused := l.last.status == http.StatusUnauthorized || status.Code(l.last.fault) == codes.Unauthenticated
	if err == nil || !refused {
		return err
	}
	for _, secret := range l.target.secret {
		if changed, renewErr := secret.Renew(ctx); renewErr == nil && changed {
			return exporters.Retry(errors.Unwrap(err), 0)
		}
	}
	return err
}

// clean makes a backend's text fit for a log line and takes out every header value that it may have repeated.
func (l *line[T]) clean(text string) string {
	for _, value := range l.last.headers {
		for _, form := range []string{value, strings.TrimSpace(value[strings.LastIndex(value, " ")+1:])} {
			if len(form) >= 4 {
				text = strings.ReplaceAll(text, form, "[redacted]")
			}
		}
	}
	return exporters.Clean(text, 256)
}

func (l *line[T]) close() error {
	if l.hangUp == nil {
		return nil
	}
	err := l.hangUp()
	l.do, l.hangUp = nil, nil
	return err
}

// grpcMessageLimit is what a gRPC server takes in one message unless it was told otherwise.
const grpcMessageLimit = 4 << 20

// tooLarge tells a message that is too large from a quota that is used up: gRPC has one code for both. The size decides
// where it can; a server with a smaller limit is known by the words that the implementations use.
func tooLarge(size int, message string) bool {
	if size > grpcMessageLimit {
		return true
	}
	message = strings.ToLower(message)
	for _, words := range []string{"larger than max", "exceeds maximum", "exceeds the maximum", "too large"} {
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}

func retryInfo(s *status.Status) (time.Duration, bool) {
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return max(info.GetRetryDelay().AsDuration(), 0), true
		}
	}
	return 0, false
}

// see keeps what an answer says about a part that was not taken.
func (x *exchange) see(answer any) {
	switch a := answer.(type) {
	case *colmetricspb.ExportMetricsServiceResponse:
		x.partial = partial{a.GetPartialSuccess().GetRejectedDataPoints(), a.GetPartialSuccess().GetErrorMessage()}
	case *collogspb.ExportLogsServiceResponse:
		x.partial = partial{a.GetPartialSuccess().GetRejectedLogRecords(), a.GetPartialSuccess().GetErrorMessage()}
	case *coltracepb.ExportTraceServiceResponse:
		x.partial = partial{a.GetPartialSuccess().GetRejectedSpans(), a.GetPartialSuccess().GetErrorMessage()}
	}
}

// validUTF8 replaces what is not UTF-8: one bad string would lose the whole request.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
