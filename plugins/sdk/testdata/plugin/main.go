// Command plugin is the plugin of the SDK's tests.
package main

import (
	"github.com/windsock-monitor/windsock/plugins/sdk"
	"github.com/windsock-monitor/windsock/plugins/sdk/internal/shop"
)

func main() { sdk.Serve(shop.Plugin()) }
