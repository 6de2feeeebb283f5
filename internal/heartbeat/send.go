package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

const mostSaid = 160 // of why there was no answer, in bytes

// send asks the address once. Nothing of what is answered is read but the status: a receiver may repeat what it was asked.
func (set Settings) send(ctx context.Context) error {
	address, err := Address(ctx, set.URL)
	if err != nil {
		if set.Place != nil && ctx.Err() == nil {
			err = set.Place(err)
		}
		return err
	}
	secrets := parts(address)
	if set.Hide != nil {
		for _, part := range secrets {
			set.Hide(part)
		}
	}
	answer, err := set.Way.Open(ctx, outbound.Request{Method: http.MethodGet, URL: address.String(), MaxBody: 1})
	if err != nil {
		return errors.New("no answer: " + credential.NewScrubber(secrets, nil).Line(err.Error(), mostSaid))
	}
	_ = answer.Body.Close()
	return refused(ctx, answer.Status, set.URL)
}

// refused is the error of a status that is no 2xx.
func refused(ctx context.Context, status int, address checks.Secret) error {
	said := ""
	switch {
	case status/100 == 2:
		return nil
	case status/100 == 3:
		said = "; redirects are not followed"
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound, status == http.StatusGone:
		said = "; " + renewed(ctx, address)
	}
	return fmt.Errorf("answered %d %s, want 2xx%s", status, http.StatusText(status), said)
}

// renewed reads the address past any cache, for the next try: it may have been replaced.
func renewed(ctx context.Context, address checks.Secret) string {
	changed, err := address.Renew(ctx)
	switch {
	case err != nil:
		return "the address could not be read again"
	case changed:
		return "the address has another value by now, which the next try uses"
	}
	return "the address has no other value"
}

// Address reads where heartbeats go. Its error names the source and nothing of the value.
func Address(ctx context.Context, s checks.Secret) (*url.URL, error) {
	text, err := credential.Text(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("the url: %w", err)
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("the url: %s holds no address, want https://… without a user or password", s.Used())
	}
	return u, nil
}

// parts are the texts of an address by which it could be known.
func parts(u *url.URL) []string {
	out := []string{u.String()}
	for _, part := range []string{u.RequestURI(), u.Path, u.RawQuery} {
		if len(part) > 1 {
			out = append(out, part)
		}
	}
	return out
}
