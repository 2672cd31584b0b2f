-- needs: _start _money
-- ARGV[3]: accounts that ended before then are forgotten; ARGV[4..]: names that may have. Rates and places expire alone.
local before = tonumber(ARGV[3])
for at = 4, #ARGV do
  local name = ARGV[at]
  local ends = redis.call('HGET', MONEY, 'e:' .. name)
  local marked = redis.call('HGET', MONEY, 'f:' .. name)
  if ends and tonumber(ends) < before then
    redis.call('HDEL', MONEY, 's:' .. name, 'o:' .. name, 'e:' .. name)
    ends = nil
  end
  if not ends and marked and tonumber(marked) < before then redis.call('HDEL', MONEY, 'f:' .. name) end
end
return 1
