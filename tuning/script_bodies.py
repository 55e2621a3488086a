"""Two scripts that applications live on: the release of a lock, and a limiter over a sliding window."""

RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"
LIMITER = """
local key = KEYS[1]
local now = tonumber(ARGV[1])
redis.call('ZREMRANGEBYSCORE', key, 0, now - 60000)
local count = redis.call('ZCARD', key)
if count < 100 then
  redis.call('ZADD', key, now, ARGV[2])
  redis.call('PEXPIRE', key, 60000)
  return 1
end
return 0
"""
