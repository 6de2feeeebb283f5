package main

import (
	"context"
	"sync"

	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

type instance struct{}

type bad struct {
	pluginv1.UnimplementedBasePluginServer
	pluginv1.UnimplementedCheckPluginServer
	pluginv1.UnimplementedExporterPluginServer

	mu        sync.Mutex
	instances map[string]*instance
}

func (b *bad) Drain(context.Context, *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	return &pluginv1.DrainResponse{}, nil
}
