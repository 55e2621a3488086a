// Round trips of redigo, Go's other Redis client: pipelines, transactions, scripts, Pub/Sub, a pool.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go run redigo.go PORT
package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
)

func check(ok bool, what string, got ...interface{}) {
	if !ok {
		fmt.Println("redigo:", what, got)
		os.Exit(1)
	}
}

func main() {
	address := "127.0.0.1:" + os.Args[1]
	pool := &redis.Pool{MaxIdle: 16, Dial: func() (redis.Conn, error) { return redis.Dial("tcp", address) }}
	c := pool.Get()
	defer c.Close()
	_, err := c.Do("FLUSHALL")
	check(err == nil, "FLUSHALL", err)

	for i := 0; i < 500; i++ {
		check(c.Send("SET", fmt.Sprint("p", i), i) == nil, "Send")
	}
	check(c.Flush() == nil, "Flush")
	for i := 0; i < 500; i++ {
		reply, err := redis.String(c.Receive())
		check(err == nil && reply == "OK", "a pipeline's reply", reply, err)
	}
	values, err := redis.Ints(c.Do("MGET", "p1", "p2", "p3", "p499"))
	check(err == nil && fmt.Sprint(values) == "[1 2 3 499]", "MGET", values, err)

	// Transactions over all cores, from many connections: both counters of a pair stay equal.
	var group sync.WaitGroup
	for worker := 0; worker < 8; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			c := pool.Get()
			defer c.Close()
			for i := 0; i < 100; i++ {
				c.Send("MULTI")
				c.Send("INCR", fmt.Sprint("left", i%5))
				c.Send("INCR", fmt.Sprint("right", i%5))
				counts, err := redis.Ints(c.Do("EXEC"))
				check(err == nil && len(counts) == 2 && counts[0] == counts[1], "EXEC", counts, err)
			}
		}(worker)
	}
	group.Wait()
	count, err := redis.Int(c.Do("GET", "left0"))
	check(err == nil && count == 160, "GET left0", count, err)

	// Optimistic: a watched key that another client touches makes EXEC answer with nil.
	other := pool.Get()
	defer other.Close()
	c.Do("WATCH", "p1")
	other.Do("SET", "p1", "other")
	c.Send("MULTI")
	c.Send("SET", "p1", "mine")
	reply, err := c.Do("EXEC")
	check(reply == nil && err == nil, "EXEC of a watched key", reply, err)

	script := redis.NewScript(2, "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[2])")
	for i := 0; i < 100; i++ {
		key := fmt.Sprint("s", i)
		text, err := redis.String(script.Do(c, key, key, i))
		check(err == nil && text == fmt.Sprint(i), "a script", text, err)
	}

	subscriber := redis.PubSubConn{Conn: pool.Get()}
	defer subscriber.Close()
	check(subscriber.Subscribe("news") == nil, "Subscribe")
	check(subscriber.PSubscribe("ne*") == nil, "PSubscribe")
	for i := 0; i < 2; i++ {
		_, ok := subscriber.ReceiveWithTimeout(10 * time.Second).(redis.Subscription)
		check(ok, "a subscription")
	}
	received, err := redis.Int(c.Do("PUBLISH", "news", "hello"))
	check(err == nil && received == 2, "PUBLISH", received, err)
	for i := 0; i < 2; i++ {
		message, ok := subscriber.ReceiveWithTimeout(10 * time.Second).(redis.Message)
		check(ok && message.Channel == "news" && string(message.Data) == "hello", "a message", message)
	}
	fmt.Println("redigo: all round trips as expected")
}
