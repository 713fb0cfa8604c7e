import { KeyedRandom } from "../core/rng.js";

/** The genres of the invented catalogue, in the order in which tastes and items count them. */
export const SYNTHETIC_GENRES = [
  "Action", "Adventure", "Animation", "Comedy", "Crime", "Drama", "Horror", "Musical", "Romance", "Sci-Fi", "War", "Western",
] as const;

/** Words that a title of the genre tends to use. Nouns are singular and countable; the plural is regular. */
const NOUNS: readonly (readonly string[])[] = [
  ["Hammer", "Bullet", "Fist", "Engine", "Striker", "Blade", "Convoy", "Target", "Chase", "Bodyguard", "Detonator", "Tower"],
  ["Compass", "Island", "River", "Voyage", "Expedition", "Treasure", "Map", "Lagoon", "Caravan", "Temple", "Summit", "Explorer"],
  ["Teapot", "Hedgehog", "Kite", "Dragon", "Acorn", "Balloon", "Penguin", "Button", "Lantern", "Beetle", "Snowman", "Giant"],
  ["Butler", "Neighbour", "Wedding", "Plumber", "Parrot", "Holiday", "Mix-up", "Landlord", "Barber", "Picnic", "Mayor", "Sofa"],
  ["Alibi", "Heist", "Informer", "Ledger", "Safe", "Detective", "Verdict", "Smuggler", "Forger", "Suspect", "Pawnbroker", "Motive"],
  ["Harbour", "Daughter", "Orchard", "Letter", "Winter", "Promise", "Brother", "Window", "Field", "Teacher", "Silence", "Inheritance"],
  ["Crypt", "Scream", "Cellar", "Curse", "Mirror", "Grave", "Ritual", "Doll", "Fog", "Asylum", "Shadow", "Hollow"],
  ["Chorus", "Melody", "Trumpet", "Ballroom", "Serenade", "Piano", "Cabaret", "Tap Dancer", "Curtain", "Violin", "Encore", "Song"],
  ["Kiss", "Bride", "Rose", "Valentine", "Heart", "Waltz", "Proposal", "Summer", "Stranger", "Garden", "Engagement", "Honeymoon"],
  ["Android", "Orbit", "Comet", "Signal", "Colony", "Clone", "Reactor", "Nebula", "Starship", "Horizon", "Satellite", "Machine"],
  ["Trench", "Regiment", "Bridge", "Sergeant", "Siege", "Bunker", "Medal", "Squadron", "Frontier", "Bugle", "Outpost", "Ridge"],
  ["Saddle", "Sheriff", "Canyon", "Stagecoach", "Ranch", "Outlaw", "Gunslinger", "Prairie", "Mustang", "Spur", "Homestead", "Gulch"],
];

const ADJECTIVES: readonly (readonly string[])[] = [
  ["Lethal", "Burning", "Relentless", "Steel", "Explosive", "Reckless"],
  ["Lost", "Hidden", "Distant", "Golden", "Uncharted", "Perilous"],
  ["Tiny", "Magic", "Cheerful", "Runaway", "Curious", "Painted"],
  ["Clumsy", "Borrowed", "Reluctant", "Ridiculous", "Lucky", "Absent-Minded"],
  ["Crooked", "Cold", "Forged", "Guilty", "Stolen", "Unmarked"],
  ["Quiet", "Unfinished", "Bitter", "Ordinary", "Fading", "Forgiven"],
  ["Haunted", "Cursed", "Bloodless", "Whispering", "Buried", "Restless"],
  ["Dancing", "Velvet", "Brassy", "Swinging", "Opening-Night", "Melodious"],
  ["Tender", "Secret", "Blushing", "Moonlit", "Unexpected", "Faithful"],
  ["Electric", "Parallel", "Silent", "Frozen", "Artificial", "Infinite"],
  ["Fallen", "Brave", "Muddy", "Last", "Outnumbered", "Iron"],
  ["Dusty", "Lonesome", "Wild", "Wanted", "Sun-Baked", "Restive"],
];

const PLACES = [
  "Lisbon", "Marseille", "Oslo", "Tangier", "Trieste", "Calcutta", "Valparaiso", "Dublin", "Cairo", "Kyoto", "Havana", "Geneva",
  "Montreal", "Naples", "Riga", "Santa Fe", "Alder Creek", "Stone Hollow", "Port Mercy", "Silver Lake",
];
const NAMES = [
  "Ada", "Barnaby", "Clara", "Desmond", "Esther", "Felix", "Greta", "Hugo", "Iris", "Jonah", "Katya", "Leopold",
  "Mabel", "Nathan", "Odette", "Percy", "Quincy", "Rosalind", "Silas", "Theodora",
];
const TIMES = ["Midnight", "Dawn", "Dusk", "Noon", "Daybreak", "Nightfall"];
const NUMBERS = ["Two", "Three", "Four", "Five", "Six", "Seven", "Nine", "Twelve"];
const SEQUELS = ["The Return", "The Reckoning", "A New Beginning", "The Long Way Home"];

const plural = (noun: string): string =>
  /(s|x|ch|sh|ss)$/.test(noun) ? `${noun}es` : /[^aeiou]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`;
const article = (word: string): string => (/^[AEIOU]/.test(word) ? "An" : "A");

/**
 * Invented film titles for `genres[item]` = indices into {@link SYNTHETIC_GENRES}, primary first: about 15,000 different
 * ones by pattern, sequels beyond that. All distinct; a title depends on the seed, the item and the titles before it.
 */
export function inventTitles(seed: number, genres: readonly (readonly number[])[]): string[] {
  const random = new KeyedRandom(seed, "synthetic/item");
  const taken = new Set<string>();
  const parts = new Map<string, number>();
  return genres.map((own, item) => {
    let title = "";
    for (let draw = 0; draw < 6; draw++) {
      title = pattern(random, item, own, draw);
      if (!taken.has(title)) break;
    }
    const first = title;
    while (taken.has(title)) {
      const part = (parts.get(first) ?? 1) + 1;
      parts.set(first, part);
      title = `${first} ${part}${part % 3 === 0 ? `: ${SEQUELS[part % SEQUELS.length]}` : ""}`;
    }
    taken.add(title);
    return title;
  });
}

function pattern(random: KeyedRandom, item: number, genres: readonly number[], draw: number): string {
  // Blocks 0 and 1 of this stream hold the item's own numbers.
  const lanes = Uint32Array.from(random.draw(item, 2, 0, draw));
  const pick = <T>(from: readonly T[], lane: number, shift: number): T => from[(lanes[lane]! >>> shift) % from.length]!;
  const main = genres[0]!, other = genres[genres.length - 1]!;
  const adjective = pick(ADJECTIVES[main]!, 1, 0);
  const noun = pick(NOUNS[main]!, 1, 12);
  let second = pick(NOUNS[other]!, 2, 0);
  if (second === noun) second = NOUNS[other]![(NOUNS[other]!.indexOf(noun) + 5) % NOUNS[other]!.length]!;
  const place = pick(PLACES, 2, 12), name = pick(NAMES, 3, 0), time = pick(TIMES, 3, 8), number = pick(NUMBERS, 3, 16);
  switch (lanes[0]! % 12) {
    case 0: return `The ${adjective} ${noun}`;
    case 1: return `The ${noun} and the ${second}`;
    case 2: return `${name} and the ${adjective} ${noun}`;
    case 3: return `The ${noun} of ${place}`;
    case 4: return `${number} ${plural(noun)} in ${place}`;
    case 5: return `${article(adjective)} ${adjective} ${noun} at ${time}`;
    case 6: return `${name}'s ${noun}`;
    case 7: return `Beyond the ${adjective} ${noun}`;
    case 8: return `${article(noun)} ${noun} for ${name}`;
    case 9: return `The ${place} ${noun}`;
    case 10: return `${number} ${adjective} ${plural(noun)}`;
    default: return `The ${second} Under the ${adjective} ${noun}`;
  }
}
