package adminapi_test

import (
	"context"
	"net/http"
	"net/url"
	"path"

	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

// pages is an exchanger without a network, which has a body for each page.
type pages map[string]string

func (p pages) Open(ctx context.Context, r outbound.Request) (*outbound.Response, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	return outboundtest.Canned{Status: http.StatusOK, Body: []byte(p[path.Base(u.Path)])}.Open(ctx, r)
}
