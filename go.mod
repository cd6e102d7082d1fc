module github.com/rads-project/constellation

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/stretchr/testify v1.12.1 // indirect
	golang.org/x/mod v0.42.0 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)
