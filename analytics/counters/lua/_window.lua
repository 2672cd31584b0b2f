-- A rate is a hash: count by bucket, `t` their sum, `o` a bucket that none is before, `n` one that none is after.
-- What was counted in a bucket leaves one bucket later than the window's length asks for: requests reach a vendor a
-- little after they are admitted. A bucket need not be a whole number of milliseconds.
local RING, SLACK = 128, 1

local function window(span)
  local buckets = math.min(RING, span)
  local current = math.floor(now * buckets / span)
  return {span = span, buckets = buckets, current = current, first = current - buckets - SLACK}
end

local function leaves_in(window, bucket)
  return math.ceil((bucket + window.buckets + SLACK + 1) * window.span / window.buckets) - now
end

local function range(from, to)
  local fields = {}
  for bucket = from, to do fields[#fields + 1] = bucket end
  return fields
end

-- Where the sum is nothing each bucket is: they would be left behind when counting goes on in a later one.
local function forget(key, window)
  redis.call('DEL', key)
  return 0, window.current, window.current
end

-- How much is in the window, from which bucket on, and up to which; forgets what has left it.
local function look(key, window)
  local found = redis.call('HMGET', key, 't', 'o', 'n')
  local used, oldest, newest = tonumber(found[1] or 0), tonumber(found[2] or 0), tonumber(found[3] or 0)
  if not found[1] then return 0, window.current, window.current end
  if used <= 0 or newest < window.first then
    return forget(key, window)
  end
  if oldest < window.first then
    local left = range(oldest, window.first - 1)
    for _, count in ipairs(redis.call('HMGET', key, unpack(left))) do
      used = used - tonumber(count or 0)
    end
    if used <= 0 then
      return forget(key, window)
    end
    redis.call('HDEL', key, unpack(left))
    redis.call('HSET', key, 't', used, 'o', window.first)
    oldest = window.first
  end
  return used, oldest, newest
end

-- Changes a bucket's count, to no less than nothing.
local function count(key, window, bucket, by)
  if by < 0 then
    by = math.max(by, -tonumber(redis.call('HGET', key, bucket) or 0))
  end
  if by == 0 then
    return
  end
  local used, oldest, newest = look(key, window)
  if used + by <= 0 then
    return forget(key, window)
  end
  redis.call('HINCRBY', key, bucket, by)
  if used == 0 then
    redis.call('HSET', key, 't', by, 'o', bucket, 'n', bucket)
    -- A minute more than it is needed: tests bring their own clock.
    redis.call('PEXPIRE', key, window.span * 2 + 60000)
    return
  end
  redis.call('HINCRBY', key, 't', by)
  if bucket < oldest then redis.call('HSET', key, 'o', bucket) end
  if bucket > newest then
    redis.call('HSET', key, 'n', bucket)
    redis.call('PEXPIRE', key, window.span * 2 + 60000)
  end
end
