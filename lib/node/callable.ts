type Class = new (...args: never[]) => object

/** A class that can be called as well. */
export type CallableClass<C extends Class> = C &
  ((...args: ConstructorParameters<C>) => InstanceType<C>)

/**
 * `Class`, which can be called without `new` too, and on an object of an older kind of subclass
 * (`Class.call(this, options)`, `util.inherits`), as the constructors of `net` can; `construct` then
 * does to that object what the constructor does to a new one. As `Class` takes the place of the class that it
 * extends, all that is an instance of that one is one of it too, be it made by `net` itself.
 */
export function callable<C extends Class>(
  Class: C,
  construct: (self: InstanceType<C>, args: ConstructorParameters<C>) => void,
): CallableClass<C> {
  const both: C = new Proxy(Class, {
    // An object made by a proxy has a hidden class of its own, and is four times as slow to use.
    construct: (target, args, made) =>
      Reflect.construct(target, args, made === both ? target : made) as object,
    apply(target, self: unknown, args: ConstructorParameters<C>) {
      if (!Reflect.apply(isMadeBy, target, [self])) return new target(...args)
      construct(self as InstanceType<C>, args)
      return self
    },
  })
  const Base: unknown = Object.getPrototypeOf(Class)
  Object.defineProperty(Class, Symbol.hasInstance, {
    value(this: unknown, value: unknown): unknown {
      return Reflect.apply(isMadeBy, this === both || this === Class ? Base : this, [value])
    },
    configurable: true,
    writable: true,
  })
  Object.defineProperty(Class.prototype, 'constructor', {
    value: both,
    configurable: true,
    writable: true,
  })
  return both as CallableClass<C>
}

/** The method that `instanceof` calls by default. */
const isMadeBy = Function.prototype[Symbol.hasInstance] as (
  this: unknown,
  value: unknown,
) => boolean
