// Command plugin is a plugin for the tests of the suite, written on the generated code and the library alone. It keeps
// every promise, unless PLUGINTEST_BAD names one to break.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

const cookieKey, cookieValue = "WINDSOCK_PLUGIN_COOKIE", "b6d3f2a4-windsock-plugin"

type services struct {
	plugin.NetRPCUnsupportedPlugin

	s *server
}

func (p services) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	pluginv1.RegisterBasePluginServer(g, p.s)
	pluginv1.RegisterCheckPluginServer(g, p.s)
	pluginv1.RegisterExporterPluginServer(g, p.s)
	return nil
}

func (services) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

func main() {
	bad := os.Getenv("PLUGINTEST_BAD")
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: os.Stderr, JSONFormat: true})
	if bad == "plain-log" {
		log = hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: os.Stderr})
	}
	s := newServer(bad, log)
	switch bad {
	case "noise":
		_, _ = os.Stdout.WriteString("welcome to the plugin\n")
	case "no-cookie":
		_ = os.Setenv(cookieKey, cookieValue)
	case "silent-without-cookie":
		if os.Getenv(cookieKey) == "" {
			os.Exit(3)
		}
	case "slow-start":
		time.Sleep(11 * time.Second)
	case "no-mtls":
		_ = os.Unsetenv("PLUGIN_CLIENT_CERT")
	case "ignores-sigterm":
		signal.Ignore(syscall.SIGTERM)
	}
	if bad != "orphan" {
		go orphaned(os.Getppid())
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: cookieKey, MagicCookieValue: cookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{1: {"plugin": services{s: s}}},
		Logger:           log,
		GRPCServer: func(o []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(o, grpc.MaxRecvMsgSize(most(bad)), grpc.ChainUnaryInterceptor(intercept(bad)), grpc.ChainStreamInterceptor(streams(bad)))...)
		},
	})
	switch bad {
	case "exit-code":
		os.Exit(7)
	case "slow-exit":
		time.Sleep(time.Minute)
	}
}

// orphaned ends the process when its parent changes.
func orphaned(parent int) {
	for os.Getppid() == parent {
		time.Sleep(100 * time.Millisecond)
	}
	os.Exit(1)
}

func most(bad string) int {
	if bad == "small-messages" {
		return 512 << 10
	}
	return 16 << 20
}

func intercept(bad string) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, r any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		switch {
		case bad == "not-serving" && info.FullMethod == grpc_health_v1.Health_Check_FullMethodName:
			return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}, nil
		case bad == "no-controller" && info.FullMethod == "/plugin.GRPCController/Shutdown":
			return nil, status.Error(codes.Unimplemented, "no such service")
		}
		return next(ctx, r)
	}
}

func streams(bad string) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		if bad == "blocks-on-stdout" && info.FullMethod == "/plugin.GRPCStdio/StreamStdio" {
			return status.Error(codes.Unimplemented, "no such service")
		}
		return next(srv, stream)
	}
}
