-- needs: _start _window
-- KEYS: a hash for each rate, then a sorted set (ids by the end of their lease) for each slot.
-- ARGV[3..]: id, span, ttl, how many rates; limit and cost of each rate; limit of each slot.
-- Answers: place of what refuses or -1, retry, bucket; used and reset of each rate.
local id, ttl, rates = ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[6])
local window = window(tonumber(ARGV[4]))
local refused, retry = -1, 0
local seen = {}

-- Until enough has left for the rate to be granted; -1 when nothing that leaves is enough.
local function wait(key, rate)
  local too_many = rate.used + rate.cost - rate.limit
  local buckets = range(rate.oldest, rate.newest)
  for at, counted in ipairs(redis.call('HMGET', key, unpack(buckets))) do
    too_many = too_many - tonumber(counted or 0)
    if too_many <= 0 and counted then return leaves_in(window, buckets[at]) end
  end
  return -1
end

local function reset(key, rate)
  if rate.used <= 0 then return 0 end
  for bucket = rate.newest, rate.oldest, -1 do
    if tonumber(redis.call('HGET', key, bucket) or 0) > 0 then return leaves_in(window, bucket) end
  end
  return 0
end

for place = 1, rates do
  local rate = {limit = tonumber(ARGV[5 + place * 2]), cost = tonumber(ARGV[6 + place * 2])}
  rate.used, rate.oldest, rate.newest = look(KEYS[place], window)
  if rate.used + rate.cost > rate.limit then
    if refused < 0 then refused = place - 1 end
    local own = wait(KEYS[place], rate)
    retry = (own < 0 or retry < 0) and -1 or math.max(retry, own)
  end
  seen[place] = rate
end
for place = rates + 1, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[place], '-inf', now)
  if refused < 0 and redis.call('ZCARD', KEYS[place]) >= tonumber(ARGV[6 + rates + place])
    and not redis.call('ZSCORE', KEYS[place], id) then
    refused = place - 1
  end
end

local answer = {refused, retry, window.current}
for place, rate in ipairs(seen) do
  local key = KEYS[place]
  if refused < 0 and rate.cost > 0 then
    count(key, window, window.current, rate.cost)
    rate.used, rate.newest = rate.used + rate.cost, math.max(rate.newest, window.current)
  end
  answer[#answer + 1] = rate.used
  answer[#answer + 1] = reset(key, rate)
end
if refused < 0 then
  for place = rates + 1, #KEYS do
    redis.call('ZADD', KEYS[place], now + ttl, id)
    redis.call('PEXPIRE', KEYS[place], ttl + 60000)
  end
end
return answer
