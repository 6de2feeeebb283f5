package sdk_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/sdk"
	"github.com/windsock-monitor/windsock/plugins/sdk/internal/shop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is what the agent has of a plugin.
type client struct {
	pluginv1.BasePluginClient
	pluginv1.CheckPluginClient
	pluginv1.ExporterPluginClient
}

func clientOf(conn grpc.ClientConnInterface) client {
	return client{pluginv1.NewBasePluginClient(conn), pluginv1.NewCheckPluginClient(conn), pluginv1.NewExporterPluginClient(conn)}
}

// served serves a plugin in this process, over gRPC on a unix socket.
func served(t *testing.T, p sdk.Plugin) client {
	t.Helper()
	s, err := sdk.NewServer(p)
	if err != nil {
		t.Fatal(err)
	}
	gs := grpc.NewServer(grpc.MaxRecvMsgSize(sdk.MaxMessage))
	s.Register(gs)
	path := filepath.Join(t.TempDir(), "s")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- gs.Serve(listener) }()
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		gs.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return clientOf(conn)
}

func shopServed(t *testing.T) client {
	t.Helper()
	return served(t, shop.Plugin())
}

// configured makes an instance of a kind, which must work.
func (c client) configured(t *testing.T, id, kind, config string) *pluginv1.ConfigureResponse {
	t.Helper()
	r, err := c.Configure(t.Context(), &pluginv1.ConfigureRequest{InstanceId: id, Kind: kind, ConfigJson: []byte(config), Name: "name of " + id})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.GetDiagnostics() {
		if d.GetSeverity() != pluginv1.Severity_SEVERITY_WARNING {
			t.Fatalf("configuring %s with %s: %v", kind, config, d)
		}
	}
	return r
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
}
