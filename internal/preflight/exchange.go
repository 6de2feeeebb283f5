package preflight

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// mostBody is how much of an answer is looked at.
const mostBody = 1 << 20

// request is one question to an application.
type request struct {
	method, url string
	header      http.Header
	body        []byte
	tls         *outbound.TLS
}

// answer is what came of it.
type answer struct {
	status  int // 0 where none came
	header  http.Header
	body    []byte
	took    time.Duration
	failure *outbound.Failure // nil: a whole answer
}

func (r *run) ask(ctx context.Context, q request) answer {
	began := time.Now()
	response, err := r.network.Open(ctx, outbound.Request{
		Method: q.method, URL: q.url, Header: q.header, Body: q.body, MaxBody: mostBody, TLS: q.tls,
	})
	a := answer{}
	if err == nil {
		a.status, a.header = response.Status, response.Header
		a.body, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
	}
	a.took = time.Since(began)
	if err != nil {
		if a.failure, _ = errors.AsType[*outbound.Failure](err); a.failure == nil {
			a.failure = &outbound.Failure{Cause: checks.CauseInternal, Err: err}
		}
	}
	return a
}

// problem says why there is no whole answer.
func (a answer) problem() string {
	if a.failure == nil {
		return ""
	}
	return string(a.failure.Cause) + ": " + a.failure.Error()
}

// excuse reports whether an answer says nothing, or only that something is wrong, whatever its status says.
func (a answer) excuse() bool {
	body := bytes.TrimSpace(a.body)
	var said struct {
		Error  any `json:"error"`
		Errors any `json:"errors"`
	}
	if json.Unmarshal(body, &said) != nil {
		return len(body) == 0
	}
	for _, word := range []any{said.Error, said.Errors} {
		switch word := word.(type) {
		case nil:
		case string:
			if word != "" {
				return true
			}
		case bool:
			if word {
				return true
			}
		case []any:
			if len(word) > 0 {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// text is all that an answer said: its headers, too.
func (a answer) text() string {
	var b strings.Builder
	b.Write(a.body)
	for name, values := range a.header {
		b.WriteString("\n" + name + ": " + strings.Join(values, ", "))
	}
	return b.String()
}

// authorized adds credentials to a header, as the checks of the kind app send them.
func authorized(ctx context.Context, header http.Header, bearer checks.Secret, more map[string]checks.Secret) error {
	if !bearer.IsZero() {
		value, err := bearer.Reveal(ctx)
		if err != nil {
			return err
		}
		header.Set("Authorization", "Bearer "+value)
	}
	for name, s := range more {
		value, err := s.Reveal(ctx)
		if err != nil {
			return err
		}
		header.Set(name, value)
	}
	return nil
}
