module github.com/mcpauth/mcpauth/testdata/bench

go 1.26.0

require (
	github.com/mcpauth/mcpauth v0.0.0
	github.com/modelcontextprotocol/go-sdk v1.8.0
	golang.org/x/oauth2 v0.37.0
)

require (
	github.com/go-jose/go-jose/v4 v4.1.8 // indirect
	github.com/segmentio/asm v1.1.3 // indirect
	github.com/segmentio/encoding v0.5.4 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/mcpauth/mcpauth => ../..
