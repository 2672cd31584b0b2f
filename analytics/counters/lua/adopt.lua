-- needs: _start _money
-- ARGV[3..]: ttl; id, cap, how many accounts and their names of each request that is open.
if not whole_since() then return 0 end
local ends, at = now + tonumber(ARGV[3]), 4
while at <= #ARGV do
  local id, cap, count = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  if not held(id) then
    local names = {}
    for place = 1, count do
      names[place] = ARGV[at + 2 + place]
      add(names[place], 0, cap)
    end
    redis.call('HSET', HELD, id, join(cap, 'o', names))
    redis.call('ZADD', OPEN, ends, id)
  end
  at = at + 3 + count
end
return 1
