package service_test

import (
	"context"
	"net"
	"testing"

	"github.com/go-sql-driver/mysql"

	"dangri/service"
)

// A server that goes away between its greeting and the client's answer.
func TestH6_AConnectionThatBreaksWhileItIsMadeMeansThatTheStoreIsAway(t *testing.T) {
	greeting := "\x0a5.7.0\x00" + "\x01\x00\x00\x00" + "saltsalt\x00" + "\x00\x82" + "\x2d\x02\x00\x08\x00\x15" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "saltsaltsalt\x00" + "mysql_native_password\x00"
	mysql.RegisterDialContext("breaking", func(context.Context, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			_, _ = server.Write([]byte{byte(len(greeting)), 0, 0, 0})
			_, _ = server.Write([]byte(greeting))
			_ = server.Close()
		}()
		return client, nil
	})
	defer mysql.DeregisterDialContext("breaking")
	_, err := service.OpenDatabase("root@breaking(nowhere)/dangri")
	if !service.StoreAway(err) {
		t.Errorf("got %v, want a store that is away", err)
	}
}
